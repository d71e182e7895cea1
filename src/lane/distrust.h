/* Does a customer's server distrust us? It checks SPF, DMARC, block lists or reverse DNS against the relay's
 * address, or wants a login, because nobody told it that its mail comes from here. One machine per domain,
 * made at its first *us* verdict. Pure.
 *
 * Such a refusal is never the recipient's fault, and not the message's. Often it hits some senders only:
 * those whose domains publish a strict policy. So senders are held by *class* (the domain of the
 * reverse-path): a class that was refused twice, by different senders' different messages (or by three of one
 * sender), waits; the others flow. Only when the server refuses us by our address (a check with known
 * recipients meets the same refusal) everything waits. Each 15 s one held message goes as a probe, each time
 * of another class; what is accepted frees its class, and when two classes in a row were, the cause is mended
 * and all are free.
 *
 * Strangers can have a class of their own forging held, which their forgery would be anyway; a class that is
 * accepted now and then needs that many more refusals in a row. They cannot hold the others.
 */
#ifndef LANE_DISTRUST_H
#define LANE_DISTRUST_H

#include "base/buffer.h"
#include "lane/verdict.h"

enum { DISTRUST_CLASSES = 128 }; /* remembered; what is beyond is not held, and backs off by itself */

struct distrust_class {
	uint64_t hash;		  /* 0: free */
	uint64_t sender, message; /* the last refused: another one is wanted */
	uint32_t refused;	  /* in a row, in parts of DISTRUST_OTHER */
	uint32_t accepted;	  /* lately; at most DISTRUST_ACCEPTED_MAX */
	bool held;
	int64_t used_us;
};

struct distrust {
	struct distrust_class classes[DISTRUST_CLASSES];
	uint32_t held_count;
	bool all; /* by our address: every class */
	bool check_wanted, check_out;
	int64_t check_us; /* none before */
	uint64_t run[4];  /* classes refused since one was accepted */
	uint32_t run_count;
	int64_t probe_us, probe_out_us;
	bool probe_out;
	uint64_t confirmed_class;
	uint32_t confirmed; /* classes accepted in a row by probes */
	bool alarmed;
	int64_t quiet_us; /* nothing is held since */
	char reply[160];  /* the server's last words about it */
};

void distrust_init(struct distrust *d, int64_t now_us);

struct distrust_event { /* one recipient's result; verdicts but OK and US are ignored */
	enum verdict verdict;
	uint64_t class_hash, sender,
	    message; /* seeded hashes: the reverse-path's domain, all of it, the id */
	struct slice reply;
	bool probe;
};

enum distrust_act {
	DISTRUST_NONE = 0, /* nothing to do */
	DISTRUST_PARK = 1, /* this message for now: its own back-off */
	DISTRUST_HOLD = 2, /* until its class is released */
};

struct distrust_advice {
	enum distrust_act act;
	bool released; /* a class, or all, may go: look again at what is held or parked for this */
	bool alarm;    /* once for a trouble: the server's words are in reply */
};
struct distrust_advice distrust_event(struct distrust *d, const struct distrust_event *event, int64_t now_us);

/* May mail of this class be sent? */
bool distrust_permits(const struct distrust *d, uint64_t class_hash);
/* Is anything held? */
bool distrust_holds(const struct distrust *d);

struct distrust_permit {
	bool probe; /* one held message may go: of a class that was not refused yet, else the next class */
	bool
	    check; /* ask the server about known recipients, with a null reverse-path or one it took before */
};
struct distrust_permit distrust_permit(const struct distrust *d, int64_t now_us);
int64_t distrust_deadline(const struct distrust *d, int64_t now_us);
void distrust_probe_out(struct distrust *d, int64_t now_us);
void distrust_probe_abandoned(struct distrust *d);
void distrust_check_out(struct distrust *d, int64_t now_us);
/* answered: something came. us: every answer was an *us* verdict. */
struct distrust_advice distrust_checked(struct distrust *d, bool answered, bool us, int64_t now_us);

/* What survives a restart: whether all is held and whether the alarm was given; classes are learnt anew, for
 * hashes have another seed then. save: ERR_MEMORY, ERR_LIMIT. load: ERR_CORRUPT, ERR_VERSION. */
nodiscard int distrust_save(const struct distrust *d, struct buffer *to);
nodiscard int distrust_load(struct distrust *d, struct slice from, int64_t now_us);

#endif
