"""How far a map's evidence lies from the mask, on average: a metric for camaudit."""
