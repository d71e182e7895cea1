/* Who may still put mail into a spool that fills up. Pure.
 *
 * One customer's outage must not become everybody's. So nobody is refused while half of the spool is free;
 * beyond that a domain may hold its share; and in the last tenth of the spool no domain may hold more than
 * what is still free. The room left halves and halves again, but never ends, and the largest holder is always
 * the first that finds none, while a domain that holds little notices nothing. Where one domain alone is
 * served there is nobody to keep room for.
 */
#ifndef LANE_SHARE_H
#define LANE_SHARE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	SHARE_PERCENT = 30,	/* of the spool, of each domain unless set otherwise */
	SHARE_FREE_FOR_ALL = 2, /* a half: while as much of the spool is free, nobody is refused */
	SHARE_LAST = 10, /* a tenth: with less free, only those who hold less than what is free come in */
};

struct share_spool {
	uint64_t capacity_bytes; /* 0: not limited */
	uint64_t free_bytes;
};

struct share_domain {
	uint64_t held_bytes; /* what it holds and what is on its way in */
	uint32_t percent;    /* its share, 1..100 */
	bool alone;	     /* no other domain is served */
};

enum share_answer {
	SHARE_ROOM = 0,
	SHARE_USED_UP = 1, /* its share of the spool is used up */
	SHARE_LARGEST = 2, /* the spool is almost full, and it holds more than what is free */
};

/* May more_bytes come in for the domain? Whether they fit into the spool at all is another question. */
enum share_answer share_ask(const struct share_spool *spool, const struct share_domain *domain,
			    uint64_t more_bytes);
/* Of the spool, in bytes. */
uint64_t share_bytes(uint64_t capacity_bytes, uint32_t percent);

#endif
