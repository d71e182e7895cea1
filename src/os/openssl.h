/* OpenSSL's headers. They have a type ERR_STATE, which is one of our error values: here it gets another name.
 */
#ifndef OS_OPENSSL_H
#define OS_OPENSSL_H

#define ERR_STATE openssl_error_state
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#undef ERR_STATE

#endif
