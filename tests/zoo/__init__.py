"""Networks of MONAI, timm and Hugging Face, as they are: does ``auto`` take a layer that all of the evidence passes?"""
