/* Every number of the lane's decisions, with its reason. RECOVERY names the design that they come from. */
#ifndef LANE_TUNING_H
#define LANE_TUNING_H

/* --- turns --- */

/* An average message costs a server about as much for its dialogue as for this many bytes of body. */
#define TURNS_BYTES_PER_UNIT 65536.0
/* One huge message may not silence its domain for longer than this many small ones would. */
#define TURNS_COST_MAX 64.0
/* What a domain may spend in one round: a few small messages, so that warm connections are used. */
#define TURNS_QUANTUM 4.0
/* Fresh mail's share of the cost while backlog waits: the backlog always moves. */
#define TURNS_FRESH_SHARE 0.7
/* How far fresh mail may run ahead of its share (about 7 messages), or be owed. */
#define TURNS_CREDIT_MAX 2.0

/* --- back-offs --- */

/* Our own system refused a socket or memory: soon again, but no spinning. */
#define BACKOFF_LOCAL_MS     1000
#define BACKOFF_LOCAL_MAX_MS 60000
/* A clock that is a little slower than the server's must not come a second too early. */
#define BACKOFF_AFTER_HINT_MS 2000
#define BACKOFF_HINTS_HEEDED  3

/* --- domain queues --- */

/* From one canary's start to the next (RECOVERY §1.2, 550). */
#define DOMAIN_CANARY_INTERVALS_US          \
	{                                   \
		5000000, 10000000, 15000000 \
	}
/* How often a timed pause looks at the wall clock, which may jump. */
#define DOMAIN_PAUSE_LOOK_MS 3600000LL

/* --- does a server refuse a domain's valid mail? (doc/holds.md) --- */

/* After an outage, a hold or a first contact the server may not be itself: its no is no no so long. */
#define REFUSAL_GRACE_US 3600000000LL
/* A known recipient that was accepted so long ago shows that the server knows its users now. */
#define REFUSAL_PROOF_US 60000000LL
/* Sequential test (Wald 1945) over known recipients: refused with probability 0.6 by a broken server, 0.005
 * by a healthy one (people leave). ln(0.6/0.005) for each refusal, ln(0.4/0.995) for each accept; 9.2 = ln
 * 10000: one wrong suspicion, which costs one check, in 10,000. Two refusals in a row are enough. */
#define REFUSAL_SCORE_REFUSED  4.787
#define REFUSAL_SCORE_ACCEPTED 0.911
#define REFUSAL_SCORE_LIMIT    9.2
/* A run of refusals that chance makes once in 10,000, at this server's custom (its long-run share, over about
 * 200 recipients, kept within bounds: nobody is refused so seldom that 7 in a row are proof, or so often that
 * no run is too long). */
#define REFUSAL_RUN_CHANCE  1e-4
#define REFUSAL_SHARE_LEAST 0.3
#define REFUSAL_SHARE_MOST  0.95
#define REFUSAL_SHARE_GAIN  0.005
#define REFUSAL_RUN_GRACE   3 /* in grace it only costs a check */
#define REFUSAL_SENDERS_RUN 3 /* different senders refused in a row, nothing accepted between */
/* Contents are refused in runs when spam comes in runs; all that follows is that none of them is final, and
 * after many, of different senders, one line to the administrator. */
#define REFUSAL_CONTENT_RUN	  20 /* one chance in 27,000 if six of ten mails are refused */
#define REFUSAL_CONTENT_RUN_GRACE 3
#define REFUSAL_CONTENT_ALARM	  30
/* 16 of the last 20 recipients deferred, 5 different ones at least: 80 % (RECOVERY §1.5). */
#define REFUSAL_SOFT_LAST     20
#define REFUSAL_SOFT_MANY     16
#define REFUSAL_SOFT_DISTINCT 5
/* Known recipients that the check must see refused, with none accepted, before a domain is held: one may have
 * left, or be the only user there is. */
#define REFUSAL_CHECK_LEAST 2
/* A check that passed on weak evidence: no other for a minute, doubling to about a quarter of an hour. */
#define REFUSAL_WEAK_US	       60000000LL
#define REFUSAL_WEAK_DOUBLINGS 4
#define REFUSAL_CHECK_AGAIN_US 15000000LL  /* the check met a dead line */
#define REFUSAL_CHECK_LOST_US  300000000LL /* longer than the RFC's patience for MAIL or RCPT: 5 min */
/* Known recipients refused anew so soon after a check that passed: some are refused, some are not. */
#define REFUSAL_MIXED_US 600000000LL
/* Out of that doubt: so many known recipients accepted in a row (of 10 % refusals none in 25 times), or a few
 * and quiet for so long. */
#define REFUSAL_CALM_COUNT 30
#define REFUSAL_CALM_LEAST 5
#define REFUSAL_CALM_US	   600000000LL
/* A hold so soon after the last one: one more accepted probe is wanted before each release, up to four. */
#define REFUSAL_RELAPSE_US   3600000000LL
#define REFUSAL_RELAPSES_MAX 3
/* As a canary: longer than the RFC's patience for the dot. */
#define REFUSAL_PROBE_LOST_US 900000000LL
/* Mail for a domain without a known recipient whose server refuses everybody: no storm of refusals, which
 * servers punish, but each new recipient is a chance to learn that it is back. */
#define REFUSAL_TRICKLE_US 500000LL
/* A refused recipient is tried again at 2, 10, 30 min, then hourly (RECOVERY §1.7.1). */
#define REFUSAL_PARK_STEPS_MS                    \
	{                                        \
		120000, 600000, 1800000, 3600000 \
	}
/* Time enough for the check that proves the server; well within REFUSAL_PROOF_US. */
#define REFUSAL_PROVE_PARK_MS 15000
/* An unseen recipient ends when a proven server says so twice, two minutes apart; one that was ever accepted,
 * or named by the administrator, not before two days: directories are repaired within that. */
#define REFUSAL_END_COUNT	2
#define REFUSAL_END_MS		120000
#define REFUSAL_END_KNOWN_COUNT 6
#define REFUSAL_END_KNOWN_MS	172800000LL

/* --- what is known of recipients (doc/holds.md) --- */

#define LEDGER_GOOD_MS	  1209600000LL /* 14 days of service: its refusal is full evidence */
#define LEDGER_SEEN_MS	  7776000000LL /* 90 days of service: taken without asking */
#define LEDGER_REFUSED_MS 300000LL     /* a new mailbox is usable after 5 min at most */
#define LEDGER_TRACE_MS \
	259200000LL /* 3 days: its counted refusals are wanted for two (REFUSAL_END_KNOWN_MS) */
#define LEDGER_WRITE_MS 86400000LL  /* a day's error in an age of 14: one write a day for a busy mailbox */
#define LEDGER_ASK_MS	604800000LL /* 7 days: whether a server takes everybody changes seldom */

/* --- our own door (RECOVERY §1.7.6) --- */

/* Unseen recipients of senders that nobody vouches for, taken while the server cannot be asked, per domain
 * and hour: ten times the new correspondents of a large firm; 200 mails of dictionary spam an hour are
 * bearable. (An operator may set more.) */
#define DOOR_UNSEEN 200.0
/* Callouts that are refused: servers slow down or lock out who asks for many unknown users (20 in a session
 * is a usual bound). At once, and per hour. */
#define DOOR_LANE_REFUSALS	  100.0
#define DOOR_LANE_REFUSALS_HOUR	  1200.0
#define DOOR_CLIENT_REFUSALS	  20.0
#define DOOR_CLIENT_REFUSALS_HOUR 120.0
/* Proofs between the words of a server that refuses a recipient: half a directory that answers by lot takes
 * three known ones and refuses one of them twice in one of a hundred cases, three times in one of a thousand.
 */
#define DOOR_PROOFS 2

/* --- a server that distrusts us --- */

#define IDENTITY_FLEET_US     86400000000LL /* eight names, certificates or addresses in this: a fleet */
#define DISTRUST_PROBE_US     15000000LL    /* mended is noticed within 20 s */
#define DISTRUST_REFUSED      2 /* messages of different senders of a class; one may be at fault itself */
#define DISTRUST_OTHER	      2 /* another message of the same sender counts one, of another sender two */
#define DISTRUST_ACCEPTED_MAX 8 /* and as many more as were accepted lately, up to this */
#define DISTRUST_CONFIRM \
	2 /* classes accepted in a row: not one sender's policy has changed, but the server */
#define DISTRUST_ALARM_CLASSES 2
#define DISTRUST_CHECK_US      60000000LL   /* by checks with known recipients, at most each minute */
#define DISTRUST_QUIET_US      3600000000LL /* nothing held for so long: the next is a new trouble */

/* --- a recipient's, a message's, a server's own ways --- */

#define MAILBOX_FIRST_US	  300000000LL /* 5 min: greylists end then */
#define MAILBOX_LAST_US		  3600000000LL
#define MAILBOX_DOUBLINGS	  4
#define MAILBOX_THROTTLE_US	  600000000LL /* took mail so lately: it is not full */
#define MAILBOX_THROTTLE_PAUSE_US 60000000LL  /* limits are per minute */
#define MAILBOX_WINDOW_MAX	  32	      /* beyond, the lane's window is the bound */
#define MAILBOX_VISIBLE_MS	  14400000LL  /* 4 h */
#define MAILBOX_OVER_MS		  432000000LL /* 5 days, as long as senders' own servers try (RFC 5321 §4.5.4.1) */
#define POISON_SHARE		  0.05	      /* one start in twenty */
#define POISON_CREDIT_MAX	  4.0
#define SPLIT_US		  3600000000LL
#define SPLIT_DOUBLINGS		  4 /* 16 h */

/* --- probes (RECOVERY §1.2; the intervals stand in probe.c) --- */

/* Each interval times U(1 - this, 1 + this), so that lanes that fell together are not probed together. */
#define PROBE_JITTER 0.2
/* A canary whose message ended meanwhile: another one, without spinning when the queue holds nothing usable.
 */
#define PROBE_ABANDONED_US 1000000LL
/* A canary that heard nothing for so long no longer keeps others away; tarpits greet within this. */
#define PROBE_PATIENCE_US 60000000LL
/* Hints come from strangers (a connection, ETRN): at most one extra probe in this time. */
#define PROBE_HINT_US 30000000LL

/* --- window: rounds and base (RECOVERY §1.3) --- */

/* Below this it is our own loop, disk and scheduling that are measured; and a queue that keeps the server's
 * other users waiting for less harms nobody. */
#define WINDOW_LATENCY_MIN_S 2e-3
/* W doubles in so many latencies, at least this and at most the configured time: with 30, what was tuned for
 * servers that need 0.1 s stays as it is. */
#define RAMP_DOUBLING_LATENCIES 30
#define RAMP_DOUBLING_MIN_S	0.3
/* Up to COLD_VERIFIED_FIRST: so little harms no server that can stand, and a small backlog is mostly ramp. */
#define RAMP_DOUBLING_FIRST_S 0.5
#define WINDOW_VARIANCE_GAIN  0.03 /* about the last 30 messages */
#define ROUND_LEAST_S	      0.25 /* shorter rounds see the network's noise and outrun the server's reaction */
#define ROUND_RAMP_MIN	      3.0 /* messages of a round while ramping: few, since a ramp stops itself */
#define ROUND_RAMP_MAX	      20.0
#define ROUND_STEADY_MIN      5.0
#define ROUND_STEADY_MAX      40.0
#define ROUND_STEADY_PER_W    1.5
#define ROUND_NOISY_MAX	      80.0
#define ROUND_NOISE	      0.02 /* variance of the mean log latency that a round may have: 14 % */
#define ALPHA_PER_W                                                                                        \
	0.07		/* the queue wanted at least is 1 + this·W: enough to keep the server from idling \
			 */
#define BETA_PER_W 0.15 /* and at most 2 + this·W: more is noticed by its other users */
#define WINDOW_BUCKET_FIRST                                                                               \
	3.0		       /* the first one soon: a server that is slower at W = 2 than at 1 shows it \
				*/
#define WINDOW_BUCKETS_LEAST 2 /* the last ones count at any age */
#define WINDOW_BUCKET_MIN    8.0
#define WINDOW_BUCKET_MAX    32.0
#define WINDOW_BUCKET_NOISE \
	0.01 /* the base is a minimum of means, which prefers lucky ones: so they must be better */
#define WINDOW_BUCKET_NOISY_MAX 200.0
#define WINDOW_BASE_FACTOR	1.25 /* the server's own spread around its best */
#define WINDOW_BASE_US		20e6 /* older buckets tell of another server: colder, busier */
#define WINDOW_BASE_LATENCIES	10   /* but a slow server has few of them */
#define WINDOW_FLAT		1.18 /* buckets within this factor for so long: the server is not warming up */
#define WINDOW_FLAT_US		4000000LL
#define WINDOW_STEP_MIN		0.25 /* a decrease is at least this, and at most this part of W */
#define WINDOW_STEP_MAX		0.3
#define WINDOW_STEADY_ROUND_S	3.0 /* a longer round counts as this long: its news is no better */
#define WINDOW_DOUBLING_S	8   /* STEADY: W doubles in so long while the server idles */
#define WINDOW_DOUBLING_CALM_S \
	4 /* after WINDOW_CALM_US without a decrease, at more than WINDOW_CALM_RATE a second */
#define WINDOW_CALM_US	 8000000LL
#define WINDOW_CALM_RATE 10
#define FIRST_CONTACT_US 10000000LL /* the first-contact window was filled for so long without complaint */

/* A dip: the base is looked at with less of our own load, or our queue is taken for the server's own latency.
 */
#define DIP_EVERY_US   20000000LL
#define DIP_FACTOR     0.4
#define DIP_WINDOW_MIN 2.0 /* below there is nothing to take away */

/* Trials: messages of one part, and the variance of its mean. */
#define TRIAL_SAMPLES_MIN	3.0
#define TRIAL_SAMPLES_MAX	20.0
#define TRIAL_SAMPLES_NOISY_MAX 80.0
#define TRIAL_NOISE		0.02

/* --- a server that may be cold (RECOVERY §1.3) --- */

#define COLD_US 180000000LL /* caches are warm after that, or never */
/* A server that has just started may die of load without a sign in its latency. So at first it gets few at a
 * time: COLD_TENDER_WINDOW for COLD_TENDER_S, then twice as many after each further COLD_TENDER_S. Unless its
 * latency is within COLD_IDLE of its best: then nothing of ours waits there at all, and it is a bigger server
 * than that. */
#define COLD_TENDER_S	     30.0
#define COLD_TENDER_WINDOW   8.0
#define COLD_IDLE	     1.05
#define COLD_VERIFIED_FIRST  3.0  /* so much in flight harms no server that can stand */
#define COLD_STEP	     1.5  /* verified anew each time W has grown by this factor */
#define COLD_LESS	     0.6  /* the middle part of a verification is at this part of W */
#define COLD_ELASTIC	     0.5  /* throughput follows W at least with this exponent: go on */
#define COLD_SATURATED	     0.25 /* less than this: well beyond capacity */
#define COLD_BACK	     0.9
#define COLD_BACK_FAR	     0.75
#define COLD_PAUSE_US	     3000000LL /* no growth for so long after a verification that failed, doubling */
#define COLD_PAUSE_DOUBLINGS 2

/* --- relapse (RECOVERY §1.3) --- */

#define RELAPSE_US \
	300000000LL /* down again within this: our feed may have done it; up for so long: forgotten */
#define RELAPSE_COUNT_MAX      8
#define RELAPSE_DOUBLING_MAX_S 16.0
#define RELAPSE_PART	       0.6 /* of the window at the crash */
#define RELAPSE_PART_AGAIN     0.5
#define RELAPSE_AGE_MIN_S      30.0

/* --- after idleness --- */

#define LANE_IDLE_US                                                                              \
	300000000LL	/* nothing sent for so long: the server may have been restarted meanwhile \
			 */
#define IDLE_WINDOW 3.0 /* as much as harms no server that can stand */

/* --- tarpits --- */

#define TARPIT_LEAST_S 1.0  /* a reply to MAIL that takes so long */
#define TARPIT_SPREAD  1.15 /* and always about the same is a sleep, not a queue */

/* --- a busy server: 421 while others are served (RECOVERY §1.4) --- */

#define BUSY_FACTOR	0.6
#define BUSY_STILL_US	5000000LL
#define BUSY_CEILING	1.6 /* of the shrunk window: just below where it was refused */
#define BUSY_CEILING_US 20000000LL
#define BUSY_DOUBLINGS	5

/* --- connections (RECOVERY §1.4) --- */

#define CONN_LIMIT_POLL_FACTOR \
	1.5 /* each refused poll makes the next one rarer; the first after `limit` seconds */
#define CONN_LIMIT_POLL_MAX_S	     300.0
#define CONN_LIMIT_POLL_COMPETITOR_S 60.0 /* others come and go: look more often */
#define CONN_LIMIT_SMALL	     4
#define CONN_LIMIT_STEPS_SMALL	     5
#define CONN_LIMIT_STEPS	     9
#define CONN_LIMIT_STEP_US	     1000000LL /* after one that was accepted */

/* --- pace (RECOVERY §1.4) --- */

#define PACE_RATE_PART	      0.97  /* just below what was taken */
#define PACE_RATE_HOLD_S      600.0 /* limits are seldom raised, and a violation may be punished */
#define PACE_RATE_DOUBLING_S  1800.0
#define PACE_SPACE_PART	      0.93
#define PACE_SPACE_HOLD_S     4.0 /* space comes back by itself */
#define PACE_SPACE_DOUBLING_S 60.0
#define PACE_AGREEMENT	      0.25 /* two estimates this near: it is a rule, not chance */
#define PACE_AGREEMENTS_MAX   6
#define PACE_SAMPLE	      10 /* messages taken before a refusal that make it one of rate */
#define PACE_DOUBTS	      3	 /* or so many refusals in a row */
#define PACE_LEAST_PER_S      0.01
#define PACE_MOST_PER_S	      10000.0 /* a ceiling that has grown beyond is none */

/* --- lane (RECOVERY §1.1, §1.4) --- */

#define LANE_WARM_TIMEOUT_US                                                           \
	300000000LL /* a path that was away for less: the server behind it stayed warm \
		     */
#define LANE_WARM_SOFT_US \
	180000000LL /* a limit or lack of space met less long ago: the server is as it was */
#define LANE_WARM_FACTOR   0.7
#define LANE_PUSHBACKS_MIN 3 /* so many without a success between, and at least W: down */
#define LANE_RESETS	   2 /* so many connections lost without a success between: down */
#define LANE_RECENT_US \
	5000000LL /* a success so recent says that a connect that timed out is about that one */
#define LANE_STALL_US	     8000000LL	 /* no reply on any connection for so long, or 4 latencies: down */
#define LANE_STALL_FIRST_US  120000000LL /* before anything is known of its latency: it may be a tarpit */
#define LANE_STALL_LATENCIES 4
/* Of the logarithm of latency, above its mean; and so many times the latency at most, lest a hang is noticed
 * late. */
#define LANE_STALL_DEVIATIONS 2.0
#define LANE_STALL_SPREAD_MAX 8.0
/* The same when nobody reports what is heard: a large body on a slow line is minutes of silence. */
#define LANE_STALL_BLIND_US   300000000LL
#define LANE_LOCAL_PAUSE_US   1000000LL		 /* our own system refused a connection */
#define SAVED_DURATION_MAX    4000000000000000LL /* 126 years in us; as a time in ms far beyond our days */
#define LANE_SAVED_WINDOW_MAX 100000.0		 /* a saved one beyond it is damage */

#endif
