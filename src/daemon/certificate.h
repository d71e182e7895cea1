/* The certificate of the SMTP server: DATA/certificate.pem and certificate.key, made at the first start.
 *
 * Whoever has a better one puts it there under these names (the chain may follow it) and restarts.
 */
#ifndef DAEMON_CERTIFICATE_H
#define DAEMON_CERTIFICATE_H

#include "daemon/datafolder.h"

struct certificate {
	struct buffer pem, key_pem;
};

void certificate_init(struct certificate *certificate);
/* Wipes the key. */
void certificate_deinit(struct certificate *certificate);

/* Reads it, or makes one for this host name. On failure a message for people: ERR_IO, ERR_MEMORY, ERR_SYNTAX.
 */
nodiscard int certificate_load(struct certificate *certificate, const struct datafolder *folder,
			       const char *hostname, char ret_message[DATAFOLDER_MESSAGE_SIZE]);

#endif
