"""A Redshift warehouse as a sink: tables that mirror items, staged in S3, through two doors."""
