"""The web server: webhooks, console, portal and health. It alone knows sessions, CSRF and CSP."""
