/* Shared by tls.c and tls_context.c. */
#ifndef OS_TLS_PRIVATE_H
#define OS_TLS_PRIVATE_H

#include "os/openssl.h"
#include "os/tls.h"

struct tls_context {
	SSL_CTX *ssl;
	BIO_METHOD *bio_method; /* must outlive the sessions */
	unsigned references;
	bool is_server;
};

struct tls {
	struct tls_context *context;
	SSL *ssl;
	struct slice kept; /* input that was lent before and not used: the rest of kept_bytes; comes first */
	struct slice lent;
	char *kept_bytes;
	struct buffer output;
	struct buffer early; /* written before the handshake was complete */
	bool established, failed, out_of_memory;
	bool verifiable; /* there is a name that the certificate is compared with */
	char detail[TLS_MESSAGE_SIZE];
};

BIO_METHOD *tls_bio_method_new(void); /* NULL: no memory */

/* The oldest error of OpenSSL's queue in words, and the queue is empty afterwards. */
void tls_take_error(char ret_message[TLS_MESSAGE_SIZE]);

#endif
