package gcp

import (
	"bytes"
	"net/netip"

	"github.com/sennit-io/sennit/ingest/scan"
)

var (
	resourceNames = scan.NewNames("labels", "type")
	labelNames    = scan.NewNames("backend_name", "backend_service_name", "cluster_name", "forwarding_rule_name", "location", "node_name",
		"project_id", "subnetwork_id", "subnetwork_name", "target_proxy_name", "url_map_name", "zone")
)

// resource reads a MonitoredResource.
func (d *Decoder) resource() {
	s, r := &d.s, &d.r
	s.Object()
	for i := s.Member(resourceNames, 0); i >= 0; i = s.Member(resourceNames, i+1) {
		switch i {
		case 0:
			s.Object()
			for j := s.Member(labelNames, 0); j >= 0; j = s.Member(labelNames, j+1) {
				switch j {
				case 0:
					r.backendName = d.names.String(s.Text())
				case 1:
					r.backendService = d.names.String(s.Text())
				case 2:
					r.clusterName = d.names.String(s.Text())
				case 5:
					r.nodeName = d.names.String(s.Text())
				default:
					s.Skip()
				}
			}
		case 1:
			r.resourceType = d.names.String(s.Text())
		default:
			s.Skip()
		}
	}
}

// httpNames are the members of HttpRequest in the order of the alphabet, and
// behind them the spellings in snake_case.
var httpNames = scan.NewNames("latency", "protocol", "referer", "remoteIp", "requestMethod", "requestSize", "requestUrl",
	"responseSize", "serverIp", "status", "userAgent",
	"remote_ip", "request_method", "request_size", "request_url", "response_size", "server_ip")

// httpRequest reads google.logging.type.HttpRequest.
func (d *Decoder) httpRequest() {
	s, r := &d.s, &d.r
	s.Object()
	for i := s.Member(httpNames, 0); i >= 0; i = s.Member(httpNames, i+1) {
		switch i {
		case 0:
			b := s.Text()
			ns, ok := seconds(b)
			if !ok && len(b) > 0 {
				s.Fail(scan.Impossible("a latency that is no duration in seconds"))
			}
			r.latencyNS = ns
		case 3, 11:
			r.client = d.addr()
		case 4, 12:
			r.http.Method = d.names.String(s.Text())
		case 5, 13:
			r.requestBytes = s.Uint()
		case 6, 14:
			host, path := d.Redact.SplitURL(s.Text())
			r.http.Host, r.http.Path = d.names.String(host), d.paths.String(path)
		case 7, 15:
			r.responseBytes = s.Uint()
		case 8, 16:
			r.server = d.addr()
		case 9:
			r.http.Status = s.Uint16()
		default:
			s.Skip()
		}
	}
}

// addr reads an address, with a port behind it or without.
func (d *Decoder) addr() netip.Addr {
	b := d.s.Text()
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
