"""Mail: an outbox that is written with the change that causes the mail, and a sender that empties it (docs/why.md).

`mails` says what there is to tell, `outbox` keeps it, `composer` makes the message when it is sent: it looks up the
account, chooses the language of `languages/`, and makes the code or link. `smtp` hands it over, `sender` tries again.
"""
