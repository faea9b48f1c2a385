"""From findings to documents: a run's folder goes in, the PDF that people sign comes out.

``reports.pdf.render`` is the way in. Nothing here computes a finding: each number is read from
``results.json``. Data strings become text in ``reports.page.text`` only, arrays become pictures in
``reports.page.draw`` only, and each section of the report is one file in ``reports/sections``. Neither torch nor
anything that needs it is imported.
"""

# first of all: ReportLab copies its base font into defaults when its layout modules load, and Helvetica,
# which is never embedded, would slip into the file through them
import reports.page.fonts  # noqa: F401
