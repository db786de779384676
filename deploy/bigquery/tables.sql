CREATE TABLE IF NOT EXISTS `PROJECT.DATASET.timelines` (
  date DATE NOT NULL OPTIONS (description = "day of its start, UTC"),
  timeline_id STRING NOT NULL,
  revision INT64 NOT NULL OPTIONS (description = "0 while open, 1 at the first close, then rising"),
  update INT64 OPTIONS (description = "of the live view"),
  state STRING OPTIONS (description = "open or closed"),
  superseded_by STRING OPTIONS (description = "the timeline that took this one in"),
  trace_id STRING,
  trace_ids ARRAY<STRING> OPTIONS (description = "all trace ids of the request"),
  related ARRAY<STRING> OPTIONS (description = "timelines of the same trace id"),
  start_time TIMESTAMP,
  end_time TIMESTAMP,
  duration_ns INT64,
  method STRING OPTIONS (description = "of the request"),
  path STRING OPTIONS (description = "of the request"),
  status INT64 OPTIONS (description = "HTTP status of the answer"),
  client STRING OPTIONS (description = "address of who asked"),
  cluster STRING,
  namespace STRING,
  pod STRING OPTIONS (description = "that took the request in"),
  node STRING,
  service STRING,
  proof STRING OPTIONS (description = "what the workload rests on: socket, node or claimed"),
  agent STRING OPTIONS (description = "the first agent"),
  agents ARRAY<STRING>,
  models ARRAY<STRING>,
  tools ARRAY<STRING>,
  input_tokens INT64,
  output_tokens INT64,
  steps INT64 OPTIONS (description = "number of steps"),
  denied INT64 OPTIONS (description = "steps that were denied"),
  unclaimed INT64 OPTIONS (description = "steps that no span claims"),
  truncated INT64 OPTIONS (description = "steps left out by the limits"),
  ambiguous INT64 OPTIONS (description = "events that may belong to it or to another"),
  min_confidence FLOAT64 OPTIONS (description = "the least confidence of a step's join"),
  completeness FLOAT64 OPTIONS (description = "0 to 1"),
  missing ARRAY<STRING> OPTIONS (description = "layers that are known to be missing"),
  gaps INT64 OPTIONS (description = "times in which a source lost events"),
  alerts INT64 OPTIONS (description = "alerts that stand"),
  severity STRING OPTIONS (description = "of the worst of them"),
  PRIMARY KEY (timeline_id) NOT ENFORCED
)
PARTITION BY date
CLUSTER BY agent, namespace, timeline_id
OPTIONS (
  description = "One row a request, of its last revision.",
  max_staleness = INTERVAL 10 MINUTE,
  partition_expiration_days = 90,
  require_partition_filter = TRUE
);

CREATE TABLE IF NOT EXISTS `PROJECT.DATASET.steps` (
  date DATE NOT NULL OPTIONS (description = "day of the request's start, UTC: a request lies in one partition"),
  timeline_id STRING NOT NULL,
  revision INT64 NOT NULL OPTIONS (description = "of the timeline"),
  step_id STRING NOT NULL,
  parent_step_id STRING,
  layer STRING OPTIONS (description = "edge, network, policy, server, agent, model, tool, http, dns, process, file or syscall"),
  name STRING,
  start_time TIMESTAMP,
  end_time TIMESTAMP,
  duration_ns INT64,
  self_ns INT64 OPTIONS (description = "time in no step below it, less wait_ns; for calls, not for evidence of the network and kernel"),
  wait_ns INT64 OPTIONS (description = "from its start until its first byte was seen on the wire"),
  status STRING OPTIONS (description = "ok, error, denied, killed or unclaimed"),
  source STRING OPTIONS (description = "gcp, hubble, tetragon, otlp or socket"),
  node STRING,
  pid INT64,
  socket_cookie STRING OPTIONS (description = "decimal"),
  trace_id STRING,
  span_id STRING,
  namespace STRING,
  pod STRING,
  service STRING,
  agent STRING OPTIONS (description = "its own, or of the nearest step above that has one"),
  tool STRING OPTIONS (description = "its own, or of the nearest step above that has one"),
  model STRING,
  provider STRING OPTIONS (description = "of the model"),
  input_tokens INT64,
  output_tokens INT64,
  destination STRING OPTIONS (description = "name or address it spoke to; NULL for what came in"),
  destination_port INT64,
  destination_public BOOL OPTIONS (description = "its address is one of the Internet; NULL when no address was seen"),
  method STRING OPTIONS (description = "of the HTTP request"),
  path STRING OPTIONS (description = "of the HTTP request"),
  status_code INT64 OPTIONS (description = "of the HTTP response"),
  verdict STRING OPTIONS (description = "of the network policy"),
  policy STRING OPTIONS (description = "that decided: of the network, the balancer's firewall, or the kernel's"),
  executable STRING OPTIONS (description = "path"),
  file STRING OPTIONS (description = "path"),
  bytes_sent INT64,
  bytes_received INT64,
  connection_shared INT64 OPTIONS (description = "steps that share its connection"),
  sni STRING OPTIONS (description = "server name of its TLS connection"),
  join_method STRING OPTIONS (description = "how it came to its timeline"),
  join_exact BOOL OPTIONS (description = "an identifier was equal"),
  join_confidence FLOAT64 OPTIONS (description = "0 to 1"),
  join_candidates INT64 OPTIONS (description = "requests it might have belonged to"),
  attributes JSON OPTIONS (description = "all attributes, under OpenTelemetry's names where it has one"),
  event_ids ARRAY<STRING> OPTIONS (description = "the events it was made of")
)
PARTITION BY date
CLUSTER BY agent, layer, timeline_id
OPTIONS (
  description = "One row a step of each revision of a timeline; the view steps_current has those of the last ones.",
  partition_expiration_days = 90,
  require_partition_filter = TRUE
);

CREATE TABLE IF NOT EXISTS `PROJECT.DATASET.alerts` (
  date DATE NOT NULL OPTIONS (description = "day of its time, UTC"),
  alert_id STRING NOT NULL,
  revision INT64 NOT NULL,
  rule_id STRING,
  severity STRING OPTIONS (description = "info, low, medium, high or critical"),
  title STRING,
  state STRING OPTIONS (description = "open, or withdrawn when later evidence refuted it"),
  event_time TIMESTAMP OPTIONS (description = "of the first event that triggered it"),
  timeline_id STRING,
  step_ids ARRAY<STRING>,
  event_ids ARRAY<STRING>,
  exact BOOL OPTIONS (description = "every join it rests on is exact"),
  confidence FLOAT64 OPTIONS (description = "the least of its joins"),
  gaps ARRAY<STRING> OPTIONS (description = "sources that lost events in its time"),
  tags ARRAY<STRING> OPTIONS (description = "MITRE ATT&CK and ATLAS, OWASP")
)
PARTITION BY date
CLUSTER BY rule_id, severity, timeline_id
OPTIONS (
  description = "One row a revision of an alert; the view alerts_current has the last ones.",
  partition_expiration_days = 90,
  require_partition_filter = TRUE
);

CREATE TABLE IF NOT EXISTS `PROJECT.DATASET.events` (
  date DATE NOT NULL OPTIONS (description = "day of the event, UTC"),
  event_id STRING NOT NULL OPTIONS (description = "event_ids of steps and alerts name it"),
  kind STRING NOT NULL OPTIONS (description = "as edge_request, flow, span, exchange, process_exec, syscall"),
  source STRING OPTIONS (description = "gcp, hubble, tetragon, otlp, socket or k8s"),
  cluster STRING,
  node STRING,
  event_time TIMESTAMP OPTIONS (description = "the end, of what has a duration"),
  observed_time TIMESTAMP OPTIONS (description = "when it was collected, where that was noted"),
  start_time TIMESTAMP,
  trace_id STRING,
  span_id STRING,
  parent_span_id STRING,
  name STRING OPTIONS (description = "of the span, program, hook, file or host"),
  verdict STRING OPTIONS (description = "forwarded, dropped, reset, …"),
  http_status INT64,
  namespace STRING,
  pod STRING,
  service STRING,
  pid INT64,
  exec_id STRING,
  socket_cookie STRING OPTIONS (description = "decimal"),
  src_address STRING,
  src_port INT64,
  dst_address STRING,
  dst_port INT64,
  destination STRING OPTIONS (description = "name of the far end"),
  payload JSON OPTIONS (description = "all that its source said, redacted")
)
PARTITION BY date
CLUSTER BY kind, trace_id, node, event_id
OPTIONS (
  description = "One row an event as it came, of no request and of one that was closed long before too; the view events_current has each once.",
  partition_expiration_days = 90,
  require_partition_filter = TRUE
);
