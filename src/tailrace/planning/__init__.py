"""What a setting of a handler will do, before it is deployed: the machine itself over traffic that is
described or was recorded, under virtual time.
"""
