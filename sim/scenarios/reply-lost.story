# The server stores the message and the connection ends before its reply. Nobody can know: the mail comes again, no sooner than
# ten minutes later, and at most one copy for each lost reply.
server mx1
sender sender1
domain d1.test to mx1
mx1 loses-reply 1
send 5 to d1.test over 5s
wait 1m
mx1 healthy
expect drained within 1h
expect duplicates at most 5
