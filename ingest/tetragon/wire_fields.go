package tetragon

import "github.com/sennit-io/sennit/ingest/scan"

// The messages that a KprobeArgument may hold, as far as the digest of a hook's
// arguments needs to know them. A test compares them with the generated types.

// field is a field of a message. Its name is that of the digest: in lower case,
// without underscores.
type field struct {
	name    string
	kind    fieldKind
	list    bool             // of enums: there are no others
	kept    bool             // read value by value, or said by what is
	names   map[int32]string // of an enum
	message *message
}

// message is the fields of a message by number; that of 0 is empty, as those are
// that are not there.
type message [maxField + 1]field

const maxField = 13

type fieldKind uint8

const (
	fieldNone fieldKind = iota
	fieldText
	fieldBytes
	fieldBool
	fieldInt32
	fieldInt64
	fieldUint32
	fieldUint64
	fieldEnum
	fieldMessage
	fieldBoolValue // google.protobuf's wrappers
	fieldInt32Value
	fieldUint32Value
)

// wire is the wire type of a field's kind.
func (k fieldKind) wire() uint64 {
	switch k {
	case fieldNone:
		return scan.WireEnd // never
	case fieldBool, fieldInt32, fieldInt64, fieldUint32, fieldUint64, fieldEnum:
		return scan.WireVarint
	}
	return scan.WireBytes
}

// embedded reports a kind of message.
func (k fieldKind) embedded() bool { return k >= fieldMessage }

// number is the number that a varint stands for.
func (k fieldKind) number(n uint64) uint64 {
	switch k {
	case fieldBool:
		return min(n, 1)
	case fieldInt32, fieldEnum:
		return uint64(int32(n))
	case fieldUint32:
		return uint64(uint32(n))
	}
	return n
}

// Numbers of KprobeArgument's fields that are kept.
const (
	argString   = 1
	argInt      = 2
	argSkb      = 3
	argSize     = 4
	argPath     = 6
	argFile     = 7
	argSock     = 9
	argLong     = 11
	argUint     = 15
	argLabel    = 18
	argBinprm   = 26
	argSockaddr = 30
	argUnix     = 33
)

var argumentFields = [...]field{
	1:  {name: "stringarg", kind: fieldText},
	2:  {name: "intarg", kind: fieldInt32},
	3:  {name: "skbarg", kind: fieldMessage, message: &kprobeSkbFields},
	4:  {name: "sizearg", kind: fieldUint64},
	5:  {name: "bytesarg", kind: fieldBytes},
	6:  {name: "patharg", kind: fieldMessage, message: &kprobePathFields},
	7:  {name: "filearg", kind: fieldMessage, message: &kprobeFileFields},
	8:  {name: "truncatedbytesarg", kind: fieldMessage, message: &kprobeTruncatedBytesFields},
	9:  {name: "sockarg", kind: fieldMessage, message: &kprobeSockFields},
	10: {name: "credarg", kind: fieldMessage, message: &kprobeCredFields},
	11: {name: "longarg", kind: fieldInt64},
	12: {name: "bpfattrarg", kind: fieldMessage, message: &kprobeBpfAttrFields},
	13: {name: "perfeventarg", kind: fieldMessage, message: &kprobePerfEventFields},
	14: {name: "bpfmaparg", kind: fieldMessage, message: &kprobeBpfMapFields},
	15: {name: "uintarg", kind: fieldUint32},
	16: {name: "usernamespacearg", kind: fieldMessage, message: &kprobeUserNamespaceFields},
	17: {name: "capabilityarg", kind: fieldMessage, message: &kprobeCapabilityFields},
	19: {name: "processcredentialsarg", kind: fieldMessage, message: &processCredentialsFields},
	20: {name: "usernsarg", kind: fieldMessage, message: &userNamespaceFields},
	21: {name: "modulearg", kind: fieldMessage, message: &kernelModuleFields},
	22: {name: "kernelcaptarg", kind: fieldText},
	23: {name: "capinheritablearg", kind: fieldText},
	24: {name: "cappermittedarg", kind: fieldText},
	25: {name: "capeffectivearg", kind: fieldText},
	26: {name: "linuxbinprmarg", kind: fieldMessage, message: &kprobeLinuxBinprmFields},
	27: {name: "netdevarg", kind: fieldMessage, message: &kprobeNetDevFields},
	28: {name: "bpfcmdarg", kind: fieldEnum, names: bpfCmdNames},
	29: {name: "syscallid", kind: fieldMessage, message: &syscallIdFields},
	30: {name: "sockaddrarg", kind: fieldMessage, message: &kprobeSockaddrFields},
	31: {name: "bpfprogarg", kind: fieldMessage, message: &kprobeBpfProgFields},
	32: {name: "errorarg", kind: fieldMessage, message: &kprobeErrorFields},
	33: {name: "sockaddrunarg", kind: fieldMessage, message: &kprobeSockaddrUnFields},
	18: {name: "label", kind: fieldText},
}

var (
	kprobeSkbFields = message{
		1:  {name: "hash", kind: fieldUint32},
		2:  {name: "len", kind: fieldUint32},
		3:  {name: "priority", kind: fieldUint32},
		4:  {name: "mark", kind: fieldUint32},
		5:  {name: "saddr", kind: fieldText, kept: true},
		6:  {name: "daddr", kind: fieldText, kept: true},
		7:  {name: "sport", kind: fieldUint32, kept: true},
		8:  {name: "dport", kind: fieldUint32, kept: true},
		9:  {name: "proto", kind: fieldUint32},
		10: {name: "secpathlen", kind: fieldUint32},
		11: {name: "secpatholen", kind: fieldUint32},
		12: {name: "protocol", kind: fieldText, kept: true},
		13: {name: "family", kind: fieldText, kept: true},
	}
	kprobePathFields = message{
		1: {name: "mount", kind: fieldText},
		2: {name: "path", kind: fieldText, kept: true},
		3: {name: "flags", kind: fieldText},
		4: {name: "permission", kind: fieldText},
	}
	kprobeFileFields = message{
		1: {name: "mount", kind: fieldText},
		2: {name: "path", kind: fieldText, kept: true},
		3: {name: "flags", kind: fieldText},
		4: {name: "permission", kind: fieldText},
	}
	kprobeTruncatedBytesFields = message{
		1: {name: "bytesarg", kind: fieldBytes},
		2: {name: "origsize", kind: fieldUint64},
	}
	kprobeSockFields = message{
		1:  {name: "family", kind: fieldText, kept: true},
		2:  {name: "type", kind: fieldText, kept: true},
		3:  {name: "protocol", kind: fieldText, kept: true},
		4:  {name: "mark", kind: fieldUint32},
		5:  {name: "priority", kind: fieldUint32},
		6:  {name: "saddr", kind: fieldText, kept: true},
		7:  {name: "daddr", kind: fieldText, kept: true},
		8:  {name: "sport", kind: fieldUint32, kept: true},
		9:  {name: "dport", kind: fieldUint32, kept: true},
		10: {name: "cookie", kind: fieldUint64, kept: true},
		11: {name: "state", kind: fieldText},
	}
	kprobeCredFields = message{
		1: {name: "permitted", kind: fieldEnum, names: capabilitiesTypeNames, list: true},
		2: {name: "effective", kind: fieldEnum, names: capabilitiesTypeNames, list: true},
		3: {name: "inheritable", kind: fieldEnum, names: capabilitiesTypeNames, list: true},
	}
	kprobeBpfAttrFields = message{
		1: {name: "progtype", kind: fieldText},
		2: {name: "insncnt", kind: fieldUint32},
		3: {name: "progname", kind: fieldText},
	}
	kprobePerfEventFields = message{
		1: {name: "kprobefunc", kind: fieldText},
		2: {name: "type", kind: fieldText},
		3: {name: "config", kind: fieldUint64},
		4: {name: "probeoffset", kind: fieldUint64},
	}
	kprobeBpfMapFields = message{
		1: {name: "maptype", kind: fieldText},
		2: {name: "keysize", kind: fieldUint32},
		3: {name: "valuesize", kind: fieldUint32},
		4: {name: "maxentries", kind: fieldUint32},
		5: {name: "mapname", kind: fieldText},
	}
	kprobeUserNamespaceFields = message{
		1: {name: "level", kind: fieldInt32Value},
		2: {name: "owner", kind: fieldUint32Value},
		3: {name: "group", kind: fieldUint32Value},
		4: {name: "ns", kind: fieldMessage, message: &namespaceFields},
	}
	namespaceFields = message{
		1: {name: "inum", kind: fieldUint32},
		2: {name: "ishost", kind: fieldBool},
	}
	kprobeCapabilityFields = message{
		1: {name: "value", kind: fieldInt32Value},
		2: {name: "name", kind: fieldText},
	}
	processCredentialsFields = message{
		1:  {name: "uid", kind: fieldUint32Value},
		2:  {name: "gid", kind: fieldUint32Value},
		3:  {name: "euid", kind: fieldUint32Value},
		4:  {name: "egid", kind: fieldUint32Value},
		5:  {name: "suid", kind: fieldUint32Value},
		6:  {name: "sgid", kind: fieldUint32Value},
		7:  {name: "fsuid", kind: fieldUint32Value},
		8:  {name: "fsgid", kind: fieldUint32Value},
		9:  {name: "securebits", kind: fieldEnum, names: secureBitsTypeNames, list: true},
		10: {name: "caps", kind: fieldMessage, message: &capabilitiesFields},
		11: {name: "userns", kind: fieldMessage, message: &userNamespaceFields},
	}
	capabilitiesFields = message{
		1: {name: "permitted", kind: fieldEnum, names: capabilitiesTypeNames, list: true},
		2: {name: "effective", kind: fieldEnum, names: capabilitiesTypeNames, list: true},
		3: {name: "inheritable", kind: fieldEnum, names: capabilitiesTypeNames, list: true},
	}
	userNamespaceFields = message{
		1: {name: "level", kind: fieldInt32Value},
		2: {name: "uid", kind: fieldUint32Value},
		3: {name: "gid", kind: fieldUint32Value},
		4: {name: "ns", kind: fieldMessage, message: &namespaceFields},
	}
	kernelModuleFields = message{
		1: {name: "name", kind: fieldText},
		2: {name: "signatureok", kind: fieldBoolValue},
		3: {name: "tainted", kind: fieldEnum, names: taintedBitsTypeNames, list: true},
	}
	kprobeLinuxBinprmFields = message{
		1: {name: "path", kind: fieldText, kept: true},
		2: {name: "flags", kind: fieldText},
		3: {name: "permission", kind: fieldText},
	}
	kprobeNetDevFields = message{
		1: {name: "name", kind: fieldText},
	}
	syscallIdFields = message{
		1: {name: "id", kind: fieldUint32},
		2: {name: "abi", kind: fieldText},
	}
	kprobeSockaddrFields = message{
		1: {name: "family", kind: fieldText},
		2: {name: "addr", kind: fieldText, kept: true},
		3: {name: "port", kind: fieldUint32, kept: true},
	}
	kprobeBpfProgFields = message{
		1: {name: "progtype", kind: fieldText},
		2: {name: "insncnt", kind: fieldUint32},
		3: {name: "progname", kind: fieldText},
	}
	kprobeErrorFields = message{
		1: {name: "message", kind: fieldText},
	}
	kprobeSockaddrUnFields = message{
		1: {name: "family", kind: fieldText},
		2: {name: "path", kind: fieldText, kept: true},
	}
)
