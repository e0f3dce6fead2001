"""AWS's services, called: one signed client on the event loop for all that speaks AWS's protocols.

    signing      Signature Version 4                                                          pure
    operations   what botocore's model says of an operation, as a small frozen value          pure
    protocols    parameters → a request, an answer → members or what its error says           pure
    errors       one table: what a code says, whose fault it is, and each port's words for it pure
    places       endpoints, regions and credentials, as botocore finds them
    client       the call itself
    tables       DynamoDB for state and projections, through our client or a boto3 client of the user's

Rules of this package: it never retries, the machine does. It needs the extra `aws`, of which nothing is
imported before the first call. Decision 39.
"""
