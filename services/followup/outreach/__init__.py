"""Messages to patients: what is to be said, when it may leave, and the worker that hands it to a channel.

A message is written in the transaction of the change that wants it and leaves after that, if it still may: contact details, death,
withdrawal and opt-out are asked of intake at the moment of sending, and the check-in is looked at once more right before.
"""
