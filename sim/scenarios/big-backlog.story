# Four thousand mails for a server that takes a fifth of a second for each reply, however many come at one time: the window opens as
# far as it may, and no further.
server mx1
sender sender1
domain d1.test to mx1
mx1 refused
send 4000 to d1.test over 5m
wait 6m
mx1 delay 400ms
mx1 up
mark
wait 3m
expect transactions at mx1 at least 10
expect transactions at mx1 at most 50
expect drained within 30m
expect transactions at mx1 at most 50
expect duplicates at most 0
