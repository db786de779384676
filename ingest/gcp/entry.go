package gcp

import (
	"bytes"
	"net/netip"

	"github.com/sennit-io/sennit/ingest/scan"
)

// resource reads a MonitoredResource.
func (d *Decoder) resource() {
	s, r := &d.s, &d.r
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "type":
			r.resourceType = d.names.String(s.Bytes())
		case "labels":
			for s.Object(); s.Next(); {
				switch string(s.Key()) {
				case "backend_service_name":
					r.backendService = d.names.String(s.Bytes())
				case "backend_name":
					r.backendName = d.names.String(s.Bytes())
				case "cluster_name":
					r.clusterName = d.names.String(s.Bytes())
				case "node_name":
					r.nodeName = d.names.String(s.Bytes())
				default:
					s.Skip()
				}
			}
		default:
			s.Skip()
		}
	}
}

// httpRequest reads google.logging.type.HttpRequest.
func (d *Decoder) httpRequest() {
	s, r := &d.s, &d.r
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "requestMethod", "request_method":
			r.http.Method = d.names.String(s.Bytes())
		case "requestUrl", "request_url":
			host, path := d.Redact.SplitURL(s.Bytes())
			r.http.Host, r.http.Path = d.names.String(host), d.paths.String(path)
		case "requestSize", "request_size":
			r.requestBytes = s.Uint64()
		case "status":
			r.http.Status = s.Uint16()
		case "responseSize", "response_size":
			r.responseBytes = s.Uint64()
		case "remoteIp", "remote_ip":
			r.client = d.addr()
		case "serverIp", "server_ip":
			r.server = d.addr()
		case "latency":
			b := s.Bytes()
			ns, ok := seconds(b)
			if !ok && len(b) > 0 {
				s.Fail(scan.Impossible("a latency that is no duration in seconds"))
			}
			r.latencyNS = ns
		default:
			s.Skip()
		}
	}
}

// addr reads an address, with a port behind it or without.
func (d *Decoder) addr() netip.Addr {
	b := d.s.Bytes()
	if len(b) == 0 {
		return netip.Addr{}
	}
	if first := bytes.IndexByte(b, ':'); b[0] == '[' || first >= 0 && first == bytes.LastIndexByte(b, ':') {
		if ap, ok := scan.AddrPort(b); ok {
			return ap.Addr()
		}
	} else if a, ok := scan.Addr(b); ok {
		return a
	}
	d.s.Fail(scan.Impossible("an address that is none"))
	return netip.Addr{}
}

// seconds parses a protobuf Duration ("0.005192s"), not a negative one, in
// nanoseconds.
func seconds(b []byte) (ns uint64, ok bool) {
	if len(b) < 2 || b[len(b)-1] != 's' {
		return 0, false
	}
	whole, fraction := b[:len(b)-1], []byte(nil)
	for i, c := range whole {
		if c == '.' {
			whole, fraction = whole[:i], whole[i+1:]
			break
		}
	}
	sec, ok := scan.Uint(whole)
	const maxSeconds = 315_576_000_000 // of a Duration: 10,000 years
	if !ok || sec > maxSeconds || len(fraction) > 9 {
		return 0, false
	}
	for i := range 9 {
		ns *= 10
		if i < len(fraction) {
			digit := uint64(fraction[i] - '0')
			if digit > 9 {
				return 0, false
			}
			ns += digit
		}
	}
	// Beyond 292 years a sum with a time would overflow.
	if sec > 9e9 {
		return 0, false
	}
	return sec*1e9 + ns, true
}
