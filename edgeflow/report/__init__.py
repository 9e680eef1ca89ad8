"""Text out of measured results: tables for the terminal, one HTML page, JUnit XML, Markdown, SARIF."""
