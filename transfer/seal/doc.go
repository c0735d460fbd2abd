// Package seal signs with a key that never leaves the kiosk's TPM, and checks
// such signatures without any TPM.
//
// A seal says: this payload was sealed by that TPM's key, at this value of that
// TPM's counter, in this measured state. It encrypts nothing. It knows nothing
// of what the payload means, nor which states and counters are good: that is the
// caller's to judge. [Key.Seal] makes seals, [Open] opens them.
//
// # Format
//
// A seal is a DSSE envelope and six files of evidence. With
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
//	events.json     the list of package measure: what the software register, one of
//	                11 to 14, was extended with; an empty list explains nothing
//	quote.attest    TPMS_ATTEST of TPM2_Quote: SHA-256 bank, PCRs 0–9 and 11–14;
//	                qualifyingData = SHA-256("sekisho-quote-v1" NUL ‖ digest ‖
//	                SHA-256(counter.attest) ‖ SHA-256(events.json))
//	quote.pcrs      the values of these PCRs as "tpm2_quote -o" writes them
//	counter.sig     TPMT_SIGNATURE over counter.attest, r and s of 32 bytes each
//	quote.sig       TPMT_SIGNATURE over quote.attest, likewise
//
// A list of events that is not empty gives, replayed, the quoted value of its
// register; a seal where it does not is refused.
//
// The envelope is canonical: one that does not re-marshal to the same bytes is
// malformed. Of the two signatures (r, s) and (r, n-s) that ECDSA makes of any
// one, only that with the smaller s is accepted, so nobody but the key's holder
// can give a seal other bytes. Any DSSE tool can check an envelope's signature,
// but that is never enough: the same key would sign the same payload again at a
// later counter. A transfer's identity is its kiosk, counter and payload digest.
// The TPM certifies two payloads at one counter value if asked to: whoever opens
// seals must notice that.
//
// Other tools read the evidence. With key.pem from [PublicKey.Marshal] and the
// bytes of pae in a file:
//
//	sed 's/.*"sig":"\([^"]*\)".*/\1/' statement.dsse.json | base64 -d >sig
//	openssl dgst -sha256 -verify key.pem -signature sig pae
//
//	q=$( { printf 'sekisho-quote-v1\0'; openssl dgst -sha256 -binary pae
//	       openssl dgst -sha256 -binary counter.attest; openssl dgst -sha256 -binary events.json; } | sha256sum | cut -c 1-64 )
//	tpm2_checkquote -u key.pem -g sha256 -m quote.attest -s quote.sig -f quote.pcrs -q $q
//
// # The two forms of key and counter
//
// The key is a primary key of the endorsement hierarchy, persisted at
// 0x81008001; the counter is NV index 0x01800A01. Neither has a password that
// would have to be kept somewhere, and neither can be locked by wrong passwords.
// Their attributes are in identity.go, each with its reason.
//
// In the plain form both are used with an empty password: whoever may send
// commands to the kiosk's TPM may seal, in whatever state, and may move the
// counter forward (a gap, never a step back).
//
// In the bound form both have a policy and no password. With kp the Name of IT's
// approvals key, as the TPM knows it when it is loaded from outside,
//
//	policy = TPM2_PolicyAuthorize(kp, "kiosk-state-v1")
//
// Whoever wants to use key or counter shows the TPM an [Authorization]: values of
// some registers, and the approvals key's signature over
//
//	SHA-256(TPM2_PolicyPCR(registers, values) ‖ "kiosk-state-v1")
//
// The TPM compares its own registers and refuses in any other state, whatever
// runs on the kiosk; then seals fail with [ErrUnapproved]. It checks a signature
// once and gives a ticket, which is kept in a file ([Form.Tickets]) and holds
// until the TPM is cleared. A TPM cannot take an approval back: the gate, which
// sees the state in every seal, has to refuse it. Reading the counter and
// activating a credential need no approval.
//
// The form is part of both Names. Changing it, or the approvals key, makes
// another key and counter, and such a kiosk is enrolled anew.
//
// # The measured state
//
// [TPM.Measure] extends the software register by a list of events, once since
// the machine started. What that proves depends on who measured the program that
// measures: without Secure Boot by keys of one's own, a unified kernel image and
// a verified root, someone who replaced the system can extend the same events.
// Then a quote shows that something changed and does not show that nothing did.
//
// # Enrolment
//
// What an [Identity] says of its attributes is a claim: a program can say the
// same of a key of its own. That a TPM holds the key is shown by a [Credential]:
// the gate makes it for an endorsement key and the sealing key's Name, and only
// a TPM that has both decrypts it ([Key.Activate]), as an endorsement key of the
// TCG's templates decrypts for no other purpose. That the endorsement key itself
// is a TPM's is known from its maker's certificate ([ModeCertified]) or from two
// people who compared its fingerprint ([ModeFingerprint]). [Kiosk] records which.
// The chain of certificates is not this package's.
//
// [Kiosk.Software] is the kiosk's own word, unless that certificate says so.
//
// # The TPM
//
// [OpenDevice] takes a chip behind the system's resource manager; [OpenSoftware]
// runs swtpm, makes it when there is none, and is for demonstrations. A command
// has a time limit. A TPM that says it is busy is asked again within it; one that
// does not answer is not asked again until it is opened again. What stands in the
// way has an error of its own: [ErrMissing], [ErrInUse], [ErrNoAnswer] and
// [ErrLocked].
//
// Opening needs neither a TPM nor cgo. Only this package knows TPM libraries.
package seal
