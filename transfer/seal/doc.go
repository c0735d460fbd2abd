// Package seal signs with a key that never leaves the kiosk's TPM, and checks
// such signatures without any TPM.
//
// A seal says: this payload was sealed by that TPM's key, at this value of that
// TPM's counter, in this measured state. It encrypts nothing. It knows nothing
// of what the payload means.
//
// # Format
//
// A seal is a DSSE envelope and five files of evidence. With
//
//	pae    = "DSSEv1" SP LEN(type) SP type SP LEN(payload) SP payload
//	digest = SHA-256(pae)
//
// the parts, all made by one restricted ECDSA P-256 key, are:
//
//	envelope        {"payloadType":…,"payload":…,"signatures":[{"keyid":…,"sig":…}]} LF
//	                sig: ECDSA with SHA-256 over pae, ASN.1 DER
//	                keyid: SHA-256 of the key's SubjectPublicKeyInfo, lower-case hex
//	counter.attest  TPMS_ATTEST of TPM2_NV_Certify: the counter, offset 0, 8 bytes;
//	                qualifyingData = digest
//	quote.attest    TPMS_ATTEST of TPM2_Quote: SHA-256 bank, PCRs 0–9 and 13;
//	                qualifyingData = SHA-256("sekisho-quote-v1" NUL ‖ digest ‖ SHA-256(counter.attest))
//	quote.pcrs      the values of these PCRs as "tpm2_quote -o" writes them
//	counter.sig     TPMT_SIGNATURE over counter.attest, r and s of 32 bytes each
//	quote.sig       TPMT_SIGNATURE over quote.attest, likewise
//
// The envelope is canonical: one that does not re-marshal to the same bytes is
// malformed. Any DSSE tool can check its signature, but that is never enough:
// the same key would sign the same payload again at a later counter. ECDSA
// signatures are malleable, so a transfer's identity is its kiosk, counter and
// payload digest, never the envelope's bytes. The TPM certifies two payloads at
// one counter value if asked to: whoever opens seals must notice that.
//
// Other tools read the evidence. With key.pem from [PublicKey.Marshal] and the
// bytes of pae in a file:
//
//	sed 's/.*"sig":"\([^"]*\)".*/\1/' statement.dsse.json | base64 -d >sig
//	openssl dgst -sha256 -verify key.pem -signature sig pae
//
//	q=$( { printf 'sekisho-quote-v1\0'; openssl dgst -sha256 -binary pae
//	       openssl dgst -sha256 -binary counter.attest; } | sha256sum | cut -c 1-64 )
//	tpm2_checkquote -u key.pem -g sha256 -m quote.attest -s quote.sig -f quote.pcrs -q $q
//
// # The plain form
//
// The key is a primary key of the endorsement hierarchy, persisted at
// 0x81008001; the counter is NV index 0x01800A01. In this plain form both are
// used with an empty password: whoever may send commands to the kiosk's TPM may
// seal, and may move the counter forward (a gap, never a step back). Neither
// key nor counter has a policy. A form bound to approved states by a policy
// changes the Name of both, so such a kiosk is enrolled anew; an enrolment says
// its [Kiosk.Mode].
//
// Enrolment in mode "pinned" proves that the request was signed by the key it
// carries and nothing about where that key lives: a program can claim a TPM's
// attributes for a key of its own. It is as good as the comparison two people
// make of [Request.Fingerprint] on the kiosk's screen and on the gate's.
// [Kiosk.Software] too is the kiosk's own word.
//
// Opening needs neither a TPM nor cgo. Only this package knows TPM libraries.
package seal
