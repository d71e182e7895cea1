/* TLS between bytes and bytes, by OpenSSL: no socket, no loop. os/net_uv.c moves the bytes.
 *
 * TLS 1.2 and later, no renegotiation, no compression. SMTP's TLS is opportunistic (RFC 3207, RFC 7435): a
 * certificate that cannot be verified does not end the handshake; the state says whether it could.
 *
 * What goes wrong is told in words for people, taken from OpenSSL, by tls_detail.
 */
#ifndef OS_TLS_H
#define OS_TLS_H

#include "base/buffer.h"
#include "port/net.h"

enum { TLS_MESSAGE_SIZE = 256 };

/* --- contexts: what the connections of one side share; counted references -------------------- */

struct tls_context;

/* A server with this certificate (with its chain) and private key, both in PEM. NULL, with a message for
 * people: they cannot be read, or do not belong together. */
struct tls_context *tls_server_context_new(struct slice certificate_pem, struct slice key_pem,
					   char ret_message[TLS_MESSAGE_SIZE]);
/* A client. ca_file: certificates in PEM of the authorities that are trusted, or NULL for the system's; when
 * it cannot be read nothing will be verified, which is not an error. */
struct tls_context *tls_client_context_new(const char *ca_file, char ret_message[TLS_MESSAGE_SIZE]);
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context); /* NULL is allowed */

/* A certificate of one's own for a host name or an IP literal: ECDSA P-256, valid from yesterday for ten
 * years. Appended to the buffers as PEM. ERR_SYNTAX (the name is empty, too long or not ASCII), ERR_MEMORY
 * (or OpenSSL failed). */
nodiscard int tls_make_self_signed(struct slice hostname, struct buffer *ret_certificate_pem,
				   struct buffer *ret_key_pem);

/* --- sessions: one connection ---------------------------------------------------------------- */

enum tls_result {
	TLS_DONE = 0,	/* the handshake is complete; bytes were read */
	TLS_WAIT = 1,	/* more input is needed */
	TLS_CLOSED = 2, /* the peer ended TLS in good order */
	TLS_FAILED =
	    3, /* tls_detail says why; send what is in tls_output (an alert), then end the connection */
};

struct tls;

/* server_name is for SNI and verification by a client: a DNS name, an IP literal, or empty. NULL: no memory.
 */
struct tls *tls_new(struct tls_context *context, struct slice server_name);
void tls_free(struct tls *tls); /* NULL is allowed */

/* Lends bytes from the peer until tls_settle, between which tls_handshake and tls_read are called. */
void tls_give(struct tls *tls, struct slice input);
nodiscard int tls_settle(struct tls *tls); /* copies what was not used; ERR_MEMORY */

enum tls_result tls_handshake(struct tls *tls);
bool tls_established(const struct tls *tls);
/* Decrypted bytes. size > 0; *ret_size is set with TLS_DONE. */
enum tls_result tls_read(struct tls *tls, void *into, size_t size, size_t *ret_size);
/* Encrypts; kept until the handshake is complete if it is not yet. ERR_MEMORY, ERR_STATE (TLS has failed). */
nodiscard int tls_write(struct tls *tls, struct slice plain);
/* Says goodbye (close_notify), if the handshake is complete. */
void tls_close(struct tls *tls);
/* What is to be sent to the peer; the caller consumes it. */
struct buffer *tls_output(struct tls *tls);

void tls_describe(const struct tls *tls, struct net_tls_state *ret_state);
const char *tls_detail(const struct tls *tls); /* "" when nothing failed; valid until tls_free */

#endif
