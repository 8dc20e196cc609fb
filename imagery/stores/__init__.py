"""Where subscriptions, the ledger, failures and keys are kept; one module or package a back end."""
