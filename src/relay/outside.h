/* Mail of our own (notifications to senders, alarms) to addresses of domains that are not served here.
 *
 * An *outside domain* is made when there is mail for it and goes when there is none. It is a domain like any
 * other for queue, feed and store, with its number; but it stands in a map of its own, so that no recipient
 * at our door, no command on domains and no list of what is served ever finds it: nothing is relayed by it.
 * Its server is the MX of its name. Its mail has the null reverse-path, is tried for OUTSIDE_HOLD_MS or until
 * the server refuses it, then it is gone: nobody is told, there is no grace, no hold detector, no ledger and
 * no alarm. A restart finds it by its record in the store ("outside/NAME": its number), which is durable
 * before the first message is.
 */
#ifndef RELAY_OUTSIDE_H
#define RELAY_OUTSIDE_H

#include "base/list.h"
#include "base/map.h"
#include "port/store.h"
#include "relay/timer.h"

struct domain;
struct relay;

enum {
	OUTSIDE_DOMAINS_MAX = 1000,
	OUTSIDE_PER_HOUR = 1000,	     /* messages that count, see struct outside_mail */
	OUTSIDE_BURST = 100,		     /* of them, at once */
	OUTSIDE_BYTES_MAX = 2 * 1024 * 1024, /* of one message */
	OUTSIDE_LOOK_MS = 60 * 1000,	     /* between two looks for those that are empty */
	OUTSIDE_REST_MS = 600 * 1000,	     /* so long an empty one stays: the next message may come soon */
};
#define OUTSIDE_HOLD_MS (INT64_C(5) * 24 * 3600 * 1000)

struct outsides {		/* of the relay */
	struct map domains;	/* struct domain by name, lower case */
	struct list list;	/* struct outside */
	struct list ordered;	/* struct outside_job: a record is written first */
	struct list committing; /* struct outside_job: on their way into the store */
	struct timer look_timer;
	double allowance;	/* messages */
	int64_t allowance_us;	/* when it was right */
	uint64_t sent, refused; /* since start: taken into the store; not taken because of a limit */
};

struct outside { /* of a domain */
	struct list in_list;
	struct domain *domain;
	bool kept;	 /* its record is durable */
	uint32_t puts;	 /* of its record, not answered */
	uint32_t jobs;	 /* messages on their way into the store */
	int64_t used_us; /* a message came */
};

struct outside_mail {
	struct slice to;      /* a mailbox, without <> */
	struct slice content; /* header and body with CRLF */
	bool utf8, eight;     /* it needs SMTPUTF8, 8BITMIME */
	bool urgent;	      /* does not count against OUTSIDE_PER_HOUR: the caller has limits of his own */
};

/* It is durable, with this id; or (id 0) it is not and never will be. */
typedef void outside_done(void *owner, uint64_t id);

void outside_init(struct relay *relay, uint64_t seed);
void outside_deinit(struct relay *relay); /* the domains are freed; nobody is called */
/* State was read. */
void outside_start(struct relay *relay);
/* One record of the store. ERR_MEMORY, ERR_CORRUPT: it is left alone. */
nodiscard int outside_load(struct relay *relay, struct slice name, struct slice value);

/* Takes a copy of the mail and sends it. 0: done will be called, never from inside this call, unless the
 * relay is freed before. An address of a domain that is served here goes to that domain's queue. ERR_LIMIT:
 * too many domains or messages, the same may be asked later. ERR_SYNTAX: not an address that can be sent to.
 * ERR_MEMORY. ERR_IO, ERR_BUSY: the store takes nothing, has no room, or state is not read yet. */
nodiscard int outside_send(struct relay *relay, const struct outside_mail *mail, outside_done *done,
			   void *owner);

struct outside_view {
	uint32_t domains;
	uint64_t messages; /* that wait */
	uint64_t sent, refused;
};
void outside_view(const struct relay *relay, struct outside_view *ret_view);

#endif
