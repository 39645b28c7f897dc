"""Django's PostgreSQL engine, with credentials that AWS gives for each physical connection.

`ENGINE: timerecord.aws.postgresql`. docs/adr/0014-database-on-aws.md says why it is so.
"""
