"""The room of projections: groups that are kept up to date by folding every change of a table's items.

Floors: `core` ◆ says what is kept and how a change changes it, `run` applies changes and brings up builds,
`views` reads both.
"""
