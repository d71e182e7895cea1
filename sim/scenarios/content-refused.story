# A healthy server refuses half of all contents. Once its users are known and it is up for an hour, the senders hear it in the
# session, in the server's words, and nothing of these messages is kept.
server mx1
sender sender1
domain d1.test to mx1
send 200 to d1.test over 20m
wait 2h
expect drained within 10m
mx1 dot permanent 0.5
mark
send 1000 to d1.test over 2h
wait 3h
expect told-refused at least 400
expect duplicates at most 0
calm
expect drained within 1d
