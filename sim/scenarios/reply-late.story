# The server stores at once and replies after eleven minutes, when the relay no longer waits.
server mx1
sender sender1
domain d1.test to mx1
mx1 replies-late 1
send 3 to d1.test over 5s
wait 5m
mx1 healthy
expect drained within 2h
expect duplicates at most 3
