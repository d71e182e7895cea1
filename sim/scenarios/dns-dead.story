# The resolver is dead for an hour. Mail is held; it flows within a minute of the repair.
server mx1
sender sender1
domain d1.test mx mx1
send 20 to d1.test over 10s
wait 20s
mx1 refused
dns dead
wait 30m
send 50 to d1.test over 30s
wait 30m
expect ends 0
dns fine
mx1 up
mark
expect delivered within 2m
