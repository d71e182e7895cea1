/* A domain, its server and the hold detector, in simulated time: what is held, doubted, ended, and when. */
#ifndef TEST_HOLD_SIM_H
#define TEST_HOLD_SIM_H

#include <stdbool.h>
#include <stdint.h>

struct hold_story {
	const char *name;
	uint64_t messages;
	double rate_per_s;
	uint32_t users; /* valid recipients; those below `known` were accepted before the story begins */
	uint32_t known;
	double unknown;	   /* share of mail to recipients that do not exist, by ordinary misspelling */
	double dictionary; /* share of mail to made-up recipients, each once, in bursts */
	double attack;	   /* share of an attacker's mail: forged senders, recipients that provoke every
			      kind of refusal, known users with refused content */
	double leavers;	   /* users that leave, per 1,000 messages */
	bool grace;	   /* the lane came up just before */
	bool door;	   /* recipients are judged at our door, by callouts */
	/* from message `breaks` on the server refuses each recipient with this probability, for so long */
	uint64_t breaks;
	double refuses;
	bool per_connection; /* the chance is drawn for a minute, not for each recipient */
	double broken_s;
};

struct hold_result {
	uint64_t delivered, checks, probes, attempts;
	uint64_t holds, doubts, alarms;
	uint64_t false_holds;		   /* while the server was healthy */
	uint64_t ended_unknown;		   /* as it should be */
	uint64_t ended_valid;		   /* must not be: the recipient existed */
	uint64_t door_unknown, door_valid; /* 550 at our door: rightly; to somebody who existed */
	uint64_t door_later;		   /* 450 and 451 there */
	double hold_after_s;		   /* from the break to the first hold; < 0: none */
	double doubt_after_s;		   /* to the first doubt or hold */
	uint64_t after_messages;	   /* first attempts from the break to doubt or hold */
	double release_after_s;		   /* from the repair to the end of the hold; < 0: none */
	double valid_delay_max_s; /* of mail to valid recipients that came while the server was healthy */
};

/* One history. The same seed is the same history. */
struct hold_result hold_play(const struct hold_story *story, uint64_t seed);

#endif
