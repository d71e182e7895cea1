#include "daemon/certificate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "os/tls.h"

#define CERTIFICATE_NAME "certificate.pem"
#define KEY_NAME	 "certificate.key"

void certificate_init(struct certificate *certificate)
{
	buffer_init(&certificate->pem, 0);
	buffer_init(&certificate->key_pem, 0);
}

void certificate_deinit(struct certificate *certificate)
{
	struct slice key = buffer_slice(&certificate->key_pem);
	if (key.size > 0)
		explicit_bzero((char *)key.data, key.size);
	buffer_deinit(&certificate->key_pem);
	buffer_deinit(&certificate->pem);
}

/* The key first: with the certificate missing, the next start makes both anew. */
static int make(struct certificate *certificate, const struct datafolder *folder, const char *hostname)
{
	int error = tls_make_self_signed(slice_of(hostname), &certificate->pem, &certificate->key_pem);
	if (error == 0)
		error = datafolder_write(folder, KEY_NAME, buffer_slice(&certificate->key_pem), 0600);
	if (error == 0)
		error = datafolder_write(folder, CERTIFICATE_NAME, buffer_slice(&certificate->pem), 0644);
	return error;
}

int certificate_load(struct certificate *certificate, const struct datafolder *folder, const char *hostname,
		     char ret_message[DATAFOLDER_MESSAGE_SIZE])
{
	int error = datafolder_read(folder, CERTIFICATE_NAME, &certificate->pem);
	if (error == ERR_MISSING) {
		error = make(certificate, folder, hostname);
		if (error != 0)
			(void)snprintf(ret_message, DATAFOLDER_MESSAGE_SIZE,
				       "a certificate cannot be made in %s: %s (%s)", folder->path,
				       error_name(error), strerror(errno));
		return error;
	}
	if (error == 0)
		error = datafolder_read(folder, KEY_NAME, &certificate->key_pem);
	if (error != 0)
		(void)snprintf(ret_message, DATAFOLDER_MESSAGE_SIZE,
			       "%s/" CERTIFICATE_NAME " and " KEY_NAME " cannot be read (%s); "
			       "put both there, or remove both to have new ones made",
			       folder->path, strerror(errno));
	return error;
}
