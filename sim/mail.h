/* Mails that simulated senders send: made from chance, full of what goes wrong (dots, long lines, nothing at
 * all).
 *
 * Each attempt to send a mail has a token of its own, so that it can be told from the next one at the other
 * side: it is the reverse-path, and stands in an X-Token field. What a server should store is the mail's text
 * with this attempt's token.
 */
#ifndef SIM_MAIL_H
#define SIM_MAIL_H

#include "base/buffer.h"
#include "base/list.h"
#include "sim/world.h"

enum {
	SIM_MAIL_RECIPIENTS_MAX = 16,
	SIM_ADDRESS_SIZE = 80,
	SIM_TOKEN_SIZE = 48,
};

struct sim_mail_recipient {
	char address[SIM_ADDRESS_SIZE];
	bool foreign; /* no domain of the relay's: must be refused */
	bool unknown; /* nobody has this address: may be refused */
	bool unseen;  /* somebody has it, but its server may be right to refuse it as far as anybody can tell:
			 refusals are counted */
	bool over;    /* known to be accepted, or refused for good */
};

struct sim_mail {
	struct list node; /* the sender's */
	uint32_t number;
	uint32_t attempts;
	bool null_sender; /* the token is in the text only */
	bool bare;	  /* no X-Token field: the token is in the reverse-path only */
	bool eight_bit;
	bool dotty;	    /* nearly every line begins with a dot */
	bool asks_only;	    /* ends after its recipients were answered, without a message */
	bool bad_ends;	    /* has bare line feeds: must be refused at its end */
	struct buffer text; /* without the token; lines end with CRLF, dots as they are */
	uint32_t recipient_count;
	struct sim_mail_recipient recipients[SIM_MAIL_RECIPIENTS_MAX];
	struct sim_event due;
	void *sender;
};

/* A mail without recipients. size_bytes is rough. */
struct sim_mail *sim_mail_new(struct sim_world *world, uint32_t number, size_t size_bytes);
void sim_mail_free(struct sim_mail *mail);
void sim_mail_to(struct sim_mail *mail, const char *address, bool foreign);
bool sim_mail_over(const struct sim_mail *mail); /* nothing is left to do for any recipient */

/* The whole text of one attempt, appended. */
void sim_mail_text(const struct sim_mail *mail, const char *token, struct buffer *to);

#endif
