# The domain's own MX says that it takes no mail: nobody knows where to send it. It is held, and flows once there is an MX.
server mx1
sender sender1
domain d1.test null-mx
send 20 to d1.test over 10s
wait 1h
expect held 20
expect ends 0
dns d1.test mx mx1
mark
expect delivered within 20m
