"""AWS Lambda's way in: the machine over one batch of an event source mapping, and what is redriven by a
schedule.
"""
