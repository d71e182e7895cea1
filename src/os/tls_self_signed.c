/* A certificate of one's own, so that TLS works before anybody has configured it. See os/tls.h. */
#include <arpa/inet.h>
#include <string.h>

#include "os/openssl.h"
#include "os/tls.h"

enum {
	VALID_DAYS = 3650,
	DAY_S = 86400,
	COMMON_NAME_MAX =
	    64, /* ub-common-name, RFC 5280 appendix A.1; a longer name stands in the SAN only */
	HOST_NAME_MAX_BYTES = 253,
};

static bool is_host_name(struct slice name)
{
	if (name.size == 0 || name.size > HOST_NAME_MAX_BYTES)
		return false;
	for (size_t i = 0; i < name.size; i++)
		if (name.data[i] <= ' ' || name.data[i] > '~')
			return false;
	return true;
}

static bool set_serial(X509 *certificate)
{
	uint64_t serial;

	if (RAND_bytes((unsigned char *)&serial, sizeof(serial)) != 1)
		return false;
	return ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), (serial >> 1) | 1) == 1;
}

static bool set_subject(X509 *certificate, struct slice hostname)
{
	X509_NAME *name = X509_get_subject_name(certificate);

	if (hostname.size <= COMMON_NAME_MAX &&
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)hostname.data,
				       (int)hostname.size, -1, 0) != 1)
		return false;
	return X509_set_issuer_name(certificate, name) == 1;
}

static GENERAL_NAME *alternative_name(struct slice hostname)
{
	struct net_address address;
	bool literal = net_address_parse(hostname, 0, &address) == 0;
	ASN1_STRING *value = ASN1_STRING_type_new(literal ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
	GENERAL_NAME *name = GENERAL_NAME_new();
	const void *bytes = literal ? (const void *)address.bytes : hostname.data;
	int size = !literal ? (int)hostname.size : (address.family == 4 ? 4 : 16);

	if (value == NULL || name == NULL || ASN1_STRING_set(value, bytes, size) != 1) {
		ASN1_STRING_free(value);
		GENERAL_NAME_free(name);
		return NULL;
	}
	GENERAL_NAME_set0_value(name, literal ? GEN_IPADD : GEN_DNS, value);
	return name;
}

/* The subjectAltName is critical when the subject is empty (RFC 5280 §4.2.1.6). */
static bool set_alternative_name(X509 *certificate, struct slice hostname)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *name = names != NULL ? alternative_name(hostname) : NULL;
	int critical = hostname.size > COMMON_NAME_MAX ? 1 : 0;
	bool ok = false;

	if (name != NULL && sk_GENERAL_NAME_push(names, name) > 0)
		ok = X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, critical,
				       X509V3_ADD_DEFAULT) == 1;
	else
		GENERAL_NAME_free(name);
	GENERAL_NAMES_free(names);
	return ok;
}

static X509 *make_certificate(EVP_PKEY *key, struct slice hostname)
{
	X509 *certificate = X509_new();

	if (certificate == NULL)
		return NULL;
	if (X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
	    X509_gmtime_adj(X509_getm_notBefore(certificate), -(long)DAY_S) != NULL &&
	    X509_gmtime_adj(X509_getm_notAfter(certificate), (long)VALID_DAYS * DAY_S) != NULL &&
	    set_subject(certificate, hostname) && set_alternative_name(certificate, hostname) &&
	    X509_set_pubkey(certificate, key) == 1 && X509_sign(certificate, key, EVP_sha256()) > 0)
		return certificate;
	X509_free(certificate);
	return NULL;
}

static int append(BIO *pem, struct buffer *to)
{
	char *bytes = NULL;
	long size = BIO_get_mem_data(pem, &bytes);

	return size > 0 ? buffer_append(to, bytes, (size_t)size) : ERR_MEMORY;
}

static int write_pem(X509 *certificate, EVP_PKEY *key, struct buffer *certificate_pem, struct buffer *key_pem)
{
	BIO *c = BIO_new(BIO_s_mem());
	BIO *k = BIO_new(BIO_s_secmem());
	size_t before = buffer_size(certificate_pem);
	int error = ERR_MEMORY;

	if (c != NULL && k != NULL && PEM_write_bio_X509(c, certificate) == 1 &&
	    PEM_write_bio_PrivateKey(k, key, NULL, NULL, 0, NULL, NULL) == 1)
		error = append(c, certificate_pem);
	if (error == 0)
		error = append(k, key_pem);
	if (error != 0)
		buffer_truncate(certificate_pem, before);
	BIO_free(c);
	BIO_free(k);
	return error;
}

int tls_make_self_signed(struct slice hostname, struct buffer *ret_certificate_pem,
			 struct buffer *ret_key_pem)
{
	if (!is_host_name(hostname))
		return ERR_SYNTAX;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = key != NULL ? make_certificate(key, hostname) : NULL;
	int error = ERR_MEMORY;

	if (certificate != NULL)
		error = write_pem(certificate, key, ret_certificate_pem, ret_key_pem);
	X509_free(certificate);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return error;
}
