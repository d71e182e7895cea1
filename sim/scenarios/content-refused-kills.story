# The same, and the relay dies now and then, close to the moment in which a sender reads his 250 or the server has stored a
# message: nothing is lost, and nothing is delivered that a sender was told is refused.
server mx1
sender sender1
domain d1.test to mx1
send 100 to d1.test over 20m
wait 2h
mx1 dot permanent 0.3
relay dies-at ack 0.01
relay dies-at stored 0.01
send 2000 to d1.test over 2d
wait 49h
expect told-refused at least 20
calm
expect drained within 1d
