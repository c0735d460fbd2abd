module sekisho

go 1.26.0

require (
	codeberg.org/go-pdf/fpdf v0.12.0 // the recovery sheet, with a Japanese font
	filippo.io/age v1.3.2 // encryption of parts, to hybrid post-quantum keys
	github.com/dutchcoders/go-clamd v0.0.0-20170520113014-b970184f4d9e // PING and VERSION of clamd
	github.com/elastic/go-seccomp-bpf v1.6.0 // system call filter of the scan workers
	github.com/google/go-attestation v0.6.1 // x509 only: endorsement certificates with a critical subject name
	github.com/google/go-tpm v0.9.8 // TPM 2.0 commands
	github.com/hillu/go-yara/v4 v4.2.4 // libyara 4.2 of Debian 12
	github.com/pelletier/go-toml/v2 v2.4.3 // strict configuration, errors with line and column
	golang.org/x/crypto v0.57.0 // cryptobyte: TPM structures read by hand
	golang.org/x/mod v0.42.0 // sumdb/tlog and note: the ledger's proofs
	golang.org/x/sync v0.24.0 // errgroup
	golang.org/x/sys v0.49.0 // openat2, memfd, renameat2, O_DIRECT
	golang.org/x/term v0.47.0 // is there a terminal
	rsc.io/qr v0.2.0 // the QR code on the recovery sheet
)

// Tests, and the generator of test data.
require (
	github.com/google/go-eventlog v0.0.2 // firmware logs of real machines, as test data
	github.com/rogpeppe/go-internal v1.16.0 // testscript
	github.com/secure-systems-lab/go-securesystemslib v0.11.1 // another DSSE, to compare with
	golang.org/x/text v0.43.0 // ISO-2022-JP and Shift_JIS
)

require (
	filippo.io/hpke v0.4.0 // indirect
	golang.org/x/net v0.59.0 // indirect
	golang.org/x/tools v0.51.0 // indirect
)
