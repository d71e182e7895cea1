/* Contexts: certificate, key, trusted authorities and options. See os/tls.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "os/tls_private.h"

enum {
	/* For clients only. Certificates in the wild have RSA keys of 1024 bits and SHA-1: poor encryption
	 * that nobody verifies is still better than what the alternative is here, none. */
	CLIENT_SECURITY_LEVEL = 1,
};

/* Debian's, in one file: the folder of single files would be read during handshakes, on the loop. */
static const char system_ca_file[] = "/etc/ssl/certs/ca-certificates.crt";

void tls_take_error(char ret_message[TLS_MESSAGE_SIZE])
{
	unsigned long error = ERR_peek_error();
	const char *reason = ERR_reason_error_string(error);

	if (error != 0 && ERR_SYSTEM_ERROR(error))
		reason = strerrordesc_np((int)ERR_GET_REASON(error));
	(void)snprintf(ret_message, TLS_MESSAGE_SIZE, "%s", reason != NULL ? reason : "unknown error");
	ERR_clear_error();
}

static void explain(const char *what, char message[TLS_MESSAGE_SIZE])
{
	char reason[TLS_MESSAGE_SIZE];

	tls_take_error(reason);
	(void)snprintf(message, TLS_MESSAGE_SIZE, "%.100s: %.150s", what, reason);
}

/* --- life ------------------------------------------------------------------------------------ */

static struct tls_context *context_new(bool is_server, char ret_message[TLS_MESSAGE_SIZE])
{
	struct tls_context *context = calloc(1, sizeof(*context));

	if (context == NULL) {
		(void)snprintf(ret_message, TLS_MESSAGE_SIZE, "out of memory");
		return NULL;
	}
	ERR_clear_error();
	context->references = 1;
	context->is_server = is_server;
	context->bio_method = tls_bio_method_new();
	context->ssl = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
	if (context->bio_method == NULL || context->ssl == NULL ||
	    SSL_CTX_set_min_proto_version(context->ssl, TLS1_2_VERSION) != 1) {
		explain("cannot start TLS", ret_message);
		tls_context_unref(context);
		return NULL;
	}
	(void)SSL_CTX_set_options(context->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
						    SSL_OP_CIPHER_SERVER_PREFERENCE);
	/* Gives 34 KiB of an idle connection back. */
	(void)SSL_CTX_set_mode(context->ssl, SSL_MODE_RELEASE_BUFFERS);
	/* Resumption by tickets only: no table of sessions to keep. */
	(void)SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF);
	return context;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
	check(context->references > 0);
	context->references++;
	return context;
}

void tls_context_unref(struct tls_context *context)
{
	if (context == NULL)
		return;
	check(context->references > 0);
	if (--context->references > 0)
		return;
	SSL_CTX_free(context->ssl);
	BIO_meth_free(context->bio_method);
	free(context);
}

/* --- servers --------------------------------------------------------------------------------- */

static int no_passphrase(char *into, int size, int writing, void *owner)
{
	(void)into;
	(void)size;
	(void)writing;
	(void)owner;
	return -1; /* nobody is there to be asked */
}

static bool use_chain(SSL_CTX *ssl, BIO *pem)
{
	X509 *certificate = PEM_read_bio_X509_AUX(pem, NULL, no_passphrase, NULL);
	bool ok = certificate != NULL && SSL_CTX_use_certificate(ssl, certificate) == 1;

	X509_free(certificate);
	while (ok) {
		X509 *above = PEM_read_bio_X509(pem, NULL, no_passphrase, NULL);
		if (above == NULL)
			break;
		ok = SSL_CTX_add0_chain_cert(ssl, above) == 1;
		if (!ok)
			X509_free(above);
	}
	if (ok) /* the end of the chain looks like an error */
		ERR_clear_error();
	return ok;
}

static bool use_key(SSL_CTX *ssl, BIO *pem)
{
	EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, no_passphrase, NULL);
	bool ok = key != NULL && SSL_CTX_use_PrivateKey(ssl, key) == 1;

	EVP_PKEY_free(key);
	return ok;
}

static bool load(SSL_CTX *ssl, struct slice pem, bool (*use)(SSL_CTX *ssl, BIO *pem))
{
	BIO *bio = pem.size > 0 && pem.size <= INT32_MAX ? BIO_new_mem_buf(pem.data, (int)pem.size) : NULL;
	bool ok = bio != NULL && use(ssl, bio);

	BIO_free(bio);
	return ok;
}

struct tls_context *tls_server_context_new(struct slice certificate_pem, struct slice key_pem,
					   char ret_message[TLS_MESSAGE_SIZE])
{
	struct tls_context *context = context_new(true, ret_message);

	if (context == NULL)
		return NULL;
	if (!load(context->ssl, certificate_pem, use_chain))
		explain("the TLS certificate cannot be used", ret_message);
	else if (!load(context->ssl, key_pem, use_key))
		explain("the TLS private key cannot be used", ret_message);
	else if (SSL_CTX_check_private_key(context->ssl) != 1)
		explain("the TLS private key does not belong to the certificate", ret_message);
	else
		return context;
	tls_context_unref(context);
	return NULL;
}

/* --- clients --------------------------------------------------------------------------------- */

struct tls_context *tls_client_context_new(const char *ca_file, char ret_message[TLS_MESSAGE_SIZE])
{
	struct tls_context *context = context_new(false, ret_message);

	if (context == NULL)
		return NULL;
	SSL_CTX_set_security_level(context->ssl, CLIENT_SECURITY_LEVEL);
	SSL_CTX_set_verify(context->ssl, SSL_VERIFY_NONE, NULL); /* noted, not required */
	(void)SSL_CTX_load_verify_file(context->ssl, ca_file != NULL ? ca_file : system_ca_file);
	ERR_clear_error();
	return context;
}
