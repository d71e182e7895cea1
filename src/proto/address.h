/* Mailboxes and domains (RFC 5321 §4.1.2, RFC 6531 §3.3).
 */
#ifndef PROTO_ADDRESS_H
#define PROTO_ADDRESS_H

#include "base/error.h"
#include "base/slice.h"

enum {
	/* RFC 5321 §4.5.3.1.1 obliges senders to stay below 64 and receivers to accept that much. Return
	 * addresses that carry a recipient within them (VERP, SRS) are longer every day, and to refuse them
	 * would lose mail. */
	ADDRESS_LOCAL_PART_MAX = 256,
	ADDRESS_DOMAIN_MAX = 255, /* §4.5.3.1.2 */
	ADDRESS_PATH_MAX = 320, /* both and the @, without <>; §4.5.3.1.3 obliges to 254, 64 + 1 + 255 fit */
};

struct mailbox {
	struct slice local_part; /* as written, quotes included */
	struct slice domain; /* as written; "[...]" for an address literal; empty for the bare <postmaster> */
	struct slice whole;  /* both, with the @; without a source route */
	bool utf8;	     /* has bytes above 127 */
};

/* A Path: "<" [ A-d-l ":" ] Mailbox ">" at the front of *input, which is advanced behind it. A source route
 * is accepted and ignored (RFC 5321 appendix C). "<>" gives empty slices (null reverse-path). "<postmaster>"
 * without a domain is accepted, and so are underscores in a domain: the DNS that senders use has them. Bytes
 * above 127 must be valid UTF-8 and are only taken when utf8 is set. ERR_SYNTAX, ERR_LIMIT (a part is too
 * long). */
nodiscard int address_parse_path(struct slice *input, bool utf8, struct mailbox *ret_mailbox);

/* A Mailbox that is the whole of text (command line, API). Same errors. */
nodiscard int address_parse(struct slice text, bool utf8, struct mailbox *ret_mailbox);

/* Is text a domain name that can be served: dot-string of LDH labels (or U-labels when utf8), at least two
 * labels, the last of them not a number (RFC 3696 §2: that would be an IP address)? */
bool address_valid_domain(struct slice text, bool utf8);

bool address_is_postmaster(struct slice local_part); /* any case, quotes ignored */

/* xtext of RFC 3461 §4 and §5: is it well formed? */
bool address_valid_xtext(struct slice text);

#endif
