/* Sessions: the handshake, reading and writing. See os/tls.h; contexts are in tls_context.c.
 *
 * OpenSSL reads and writes through a BIO of our own: it takes from the bytes that the caller lends, and
 * appends to one buffer. Memory BIOs would copy all input and keep their largest size as long as the
 * connection lives.
 */
#include "os/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "os/tls_private.h"

enum { DNS_NAME_MAX = 253 };

/* --- the BIO --------------------------------------------------------------------------------- */

static int bio_read(BIO *bio, char *into, size_t size, size_t *ret_size)
{
	struct tls *tls = BIO_get_data(bio);
	struct slice *from = tls->kept.size > 0 ? &tls->kept : &tls->lent;

	BIO_clear_retry_flags(bio);
	if (from->size == 0) {
		BIO_set_retry_read(bio);
		return 0;
	}
	*ret_size = size < from->size ? size : from->size;
	memcpy(into, from->data, *ret_size);
	*from = slice_from(*from, *ret_size);
	return 1;
}

static int bio_write(BIO *bio, const char *from, size_t size, size_t *ret_size)
{
	struct tls *tls = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (buffer_append(&tls->output, from, size) != 0) {
		tls->out_of_memory = true;
		return 0;
	}
	*ret_size = size;
	return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD *tls_bio_method_new(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "lent bytes");

	if (method == NULL)
		return NULL;
	if (BIO_meth_set_read_ex(method, bio_read) != 1 || BIO_meth_set_write_ex(method, bio_write) != 1 ||
	    BIO_meth_set_ctrl(method, bio_ctrl) != 1) {
		BIO_meth_free(method);
		return NULL;
	}
	return method;
}

/* --- life ------------------------------------------------------------------------------------ */

/* Errors here leave the name out: then nothing is verified, and a server of several names may show another
 * one's certificate. */
static void set_server_name(struct tls *tls, struct slice server_name)
{
	struct net_address address;
	char name[DNS_NAME_MAX + 1];

	if (server_name.size > 0 && server_name.data[server_name.size - 1] == '.')
		server_name.size--;
	if (server_name.size == 0 || server_name.size > DNS_NAME_MAX ||
	    slice_find(server_name, '\0') < server_name.size)
		return;
	if (server_name.data[0] == '[' && server_name.data[server_name.size - 1] == ']')
		server_name = slice_make(server_name.data + 1, server_name.size - 2);
	(void)snprintf(name, sizeof(name), "%.*s", SLICE_ARG(server_name));
	if (net_address_parse(server_name, 0, &address) == 0) { /* no SNI for addresses: RFC 6066 §3 */
		tls->verifiable = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls->ssl), name) == 1;
		return;
	}
	(void)SSL_set_tlsext_host_name(tls->ssl, name);
	SSL_set_hostflags(tls->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	tls->verifiable = SSL_set1_host(tls->ssl, name) == 1;
}

struct tls *tls_new(struct tls_context *context, struct slice server_name)
{
	struct tls *tls = calloc(1, sizeof(*tls));

	if (tls == NULL)
		return NULL;
	buffer_init(&tls->output, 0);
	buffer_init(&tls->early, 0);
	tls->context = tls_context_ref(context);
	tls->ssl = SSL_new(context->ssl);
	BIO *bio = tls->ssl != NULL ? BIO_new(context->bio_method) : NULL;
	if (bio == NULL) {
		tls_free(tls);
		return NULL;
	}
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	SSL_set_bio(tls->ssl, bio, bio);
	if (context->is_server) {
		SSL_set_accept_state(tls->ssl);
	} else {
		SSL_set_connect_state(tls->ssl);
		set_server_name(tls, server_name);
	}
	ERR_clear_error();
	return tls;
}

void tls_free(struct tls *tls)
{
	if (tls == NULL)
		return;
	SSL_free(tls->ssl);
	tls_context_unref(tls->context);
	buffer_deinit(&tls->output);
	buffer_deinit(&tls->early);
	free(tls->kept_bytes);
	free(tls);
}

/* --- input ----------------------------------------------------------------------------------- */

int tls_settle(struct tls *tls)
{
	size_t size = tls->kept.size + tls->lent.size;

	if (size == 0) {
		free(tls->kept_bytes);
		tls->kept_bytes = NULL;
		return 0;
	}
	if (tls->lent.size == 0)
		return 0;
	char *bytes = malloc(size);
	if (bytes == NULL)
		return ERR_MEMORY;
	if (tls->kept.size > 0)
		memcpy(bytes, tls->kept.data, tls->kept.size);
	memcpy(bytes + tls->kept.size, tls->lent.data, tls->lent.size);
	free(tls->kept_bytes);
	tls->kept_bytes = bytes;
	tls->kept = slice_make(bytes, size);
	tls->lent = (struct slice){.data = NULL, .size = 0};
	return 0;
}

void tls_give(struct tls *tls, struct slice input)
{
	check(tls->lent.size == 0);
	tls->lent = input;
}

/* --- what happened --------------------------------------------------------------------------- */

const char *tls_detail(const struct tls *tls)
{
	return tls->detail;
}

static void set_detail(struct tls *tls)
{
	long verified = SSL_get_verify_result(tls->ssl);

	if (tls->out_of_memory)
		(void)snprintf(tls->detail, sizeof(tls->detail), "out of memory");
	else if (ERR_peek_error() != 0)
		tls_take_error(tls->detail);
	else if (verified != X509_V_OK)
		(void)snprintf(tls->detail, sizeof(tls->detail), "%s",
			       X509_verify_cert_error_string(verified));
	else
		(void)snprintf(tls->detail, sizeof(tls->detail), "TLS failed");
}

static enum tls_result result_of(struct tls *tls, int returned)
{
	switch (SSL_get_error(tls->ssl, returned)) {
	case SSL_ERROR_NONE:
		return TLS_DONE;
	case SSL_ERROR_WANT_READ:
		return TLS_WAIT;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_CLOSED;
	default:
		set_detail(tls);
		tls->failed = true;
		ERR_clear_error();
		return TLS_FAILED;
	}
}

bool tls_established(const struct tls *tls)
{
	return tls->established && !tls->failed;
}

enum tls_result tls_handshake(struct tls *tls)
{
	if (tls->failed)
		return TLS_FAILED;
	if (tls->established)
		return TLS_DONE;
	ERR_clear_error();
	enum tls_result result = result_of(tls, SSL_do_handshake(tls->ssl));
	if (result != TLS_DONE)
		return result == TLS_CLOSED ? TLS_FAILED : result;
	tls->established = true;
	if (buffer_size(&tls->early) > 0 && tls_write(tls, buffer_slice(&tls->early)) != 0)
		return TLS_FAILED;
	buffer_deinit(&tls->early);
	return TLS_DONE;
}

enum tls_result tls_read(struct tls *tls, void *into, size_t size, size_t *ret_size)
{
	check(size > 0);
	if (!tls_established(tls))
		return tls->failed ? TLS_FAILED : TLS_WAIT;
	ERR_clear_error();
	return result_of(tls, SSL_read_ex(tls->ssl, into, size, ret_size));
}

int tls_write(struct tls *tls, struct slice plain)
{
	size_t written;

	if (tls->failed)
		return ERR_STATE;
	if (!tls->established)
		return buffer_add(&tls->early, plain);
	if (plain.size == 0)
		return 0;
	ERR_clear_error();
	if (result_of(tls, SSL_write_ex(tls->ssl, plain.data, plain.size, &written)) == TLS_DONE)
		return 0;
	return tls->out_of_memory ? ERR_MEMORY : ERR_STATE;
}

void tls_close(struct tls *tls)
{
	if (!tls_established(tls))
		return;
	ERR_clear_error();
	(void)SSL_shutdown(tls->ssl); /* 0: the peer's answer is not waited for */
	ERR_clear_error();
}

struct buffer *tls_output(struct tls *tls)
{
	return &tls->output;
}

static void fingerprint(X509 *certificate, char ret_hex[65])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned size = 0;

	ret_hex[0] = '\0';
	if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1 || size != 32)
		return;
	for (unsigned i = 0; i < size; i++)
		(void)snprintf(ret_hex + (size_t)2 * i, 3, "%02x", digest[i]);
}

void tls_describe(const struct tls *tls, struct net_tls_state *ret_state)
{
	struct net_tls_state state = {.verified = false};
	X509 *certificate = SSL_get0_peer_certificate(tls->ssl);

	(void)snprintf(state.version, sizeof(state.version), "%s", SSL_get_version(tls->ssl));
	(void)snprintf(state.cipher, sizeof(state.cipher), "%s", SSL_get_cipher_name(tls->ssl));
	if (certificate != NULL) {
		fingerprint(certificate, state.fingerprint);
		state.verified = tls->verifiable && SSL_get_verify_result(tls->ssl) == X509_V_OK;
	}
	*ret_state = state;
}
