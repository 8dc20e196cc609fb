"""What a definition must be before anything is run by it: one module a subject, all raising DefinitionInvalid."""
