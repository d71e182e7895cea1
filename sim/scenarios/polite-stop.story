# The relay is stopped and started again under load, several times. Nothing is lost, and nothing comes twice: it ends what it
# has begun.
server mx1
sender sender1
domain d1.test to mx1
mx1 delay 20ms
send 300 to d1.test over 3m
wait 30s
relay stop
wait 35s
relay start
wait 30s
relay stop
wait 35s
relay start
wait 30s
relay stop
wait 35s
relay start
expect drained within 30m
expect duplicates at most 0
