# Several recipients in one transaction, pipelined; some are always refused. The others get their mail, once; the refused ones
# theirs after the repair.
server mx1
sender sender1
domain d1.test to mx1
domain d2.test to mx1
domain d3.test to mx1
mx1 refuses-one-in 3
send 100 to d1.test d1.test d2.test d2.test d3.test over 60s
wait 5m
expect held at least 1
mx1 healthy
mark
expect delivered within 2h
expect duplicates at most 0
expect ends 0
