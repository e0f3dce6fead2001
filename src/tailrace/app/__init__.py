"""What users import: the application, its tables, handlers and changes. It only declares."""
