"""How events reach those who want to know: signed webhooks, sent to addresses that were looked at first."""
