package bus

import "strconv"

// Permissions are the subjects that a user of the bus may publish and subscribe to,
// and no others; none where there are none.
type Permissions struct{ Publish, Subscribe []string }

// InboxPrefix is where a user takes answers, and nobody else: the server's default
// would let every user read the answers of all. It lies below the default, so that
// users with usual permissions can have it too.
func InboxPrefix(publicKey string) string { return "_INBOX." + publicKey }

func inbox(publicKey string) []string { return []string{InboxPrefix(publicKey) + ".>"} }

// NodePermissions are those of a node: it speaks for itself alone, and hears nothing
// but acknowledgements.
func NodePermissions(node, publicKey string) Permissions {
	subject := eventsPrefix + strconv.Itoa(PartitionOf(node)) + "." + NodeToken(node) + ".*"
	return Permissions{[]string{subject}, inbox(publicKey)}
}

// ProcessorPermissions are those of a processor: it makes the streams, reads all and
// writes results, tells the time, and cannot speak for a node.
func ProcessorPermissions(publicKey string) Permissions {
	p := Permissions{[]string{tickSubject, api + "INFO", "$KV." + leaseBucket + ".>", "$JS.ACK.>"}, inbox(publicKey)}
	names := []string{"KV_" + leaseBucket}
	for _, s := range streams() {
		names = append(names, s.Name)
		if s.Name != StreamEvents {
			p.Publish = append(p.Publish, s.Subjects...)
		}
	}
	p.Publish = append(p.Publish, api+"STREAM.MSG.DELETE."+StreamUndelivered) // what is sent again
	for _, s := range names {
		for _, verb := range []string{"STREAM.CREATE.", "STREAM.UPDATE.", "STREAM.MSG.GET.", "DIRECT.GET."} {
			p.Publish = append(p.Publish, api+verb+s)
		}
		p.Publish = append(append(p.Publish, api+"DIRECT.GET."+s+".>"), reading(s)...)
	}
	return p
}

// SinkPermissions are those of who delivers results: it reads the stream OUT.
func SinkPermissions(publicKey string) Permissions {
	return Permissions{append(reading(StreamOut), api+"STREAM.MSG.GET."+StreamOut, "$JS.ACK."+StreamOut+".>"), inbox(publicKey)}
}

// ListenerPermissions are those of any program that wants to hear of results as they
// are sent: it subscribes to alerts, of one severity or of all, and to timelines, and
// says nothing. What is sent while it is away it misses.
func ListenerPermissions(publicKey string) Permissions {
	return Permissions{nil, append(inbox(publicKey), outAlert+"*", outTimeline)}
}

// RecorderPermissions are those of who records: it reads the stream EVENTS.
func RecorderPermissions(publicKey string) Permissions {
	return Permissions{reading(StreamEvents), inbox(publicKey)}
}

const api = "$JS.API."

// reading are the requests that a consumer of a stream makes.
func reading(stream string) []string {
	return []string{
		api + "STREAM.INFO." + stream,
		api + "CONSUMER.CREATE." + stream, api + "CONSUMER.CREATE." + stream + ".>",
		api + "CONSUMER.DURABLE.CREATE." + stream + ".*",
		api + "CONSUMER.INFO." + stream + ".*", api + "CONSUMER.DELETE." + stream + ".*",
		api + "CONSUMER.MSG.NEXT." + stream + ".*",
	}
}
