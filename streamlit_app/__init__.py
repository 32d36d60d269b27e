"""The web app: a question to the warehouse becomes a chart or a table in the browser."""
