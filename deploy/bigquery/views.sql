CREATE OR REPLACE VIEW `PROJECT.DATASET.timelines_current`
OPTIONS (description = "Requests, each at its last revision; open ones for as long as a request may be.") AS
SELECT *
FROM `PROJECT.DATASET.timelines`
WHERE date >= DATE_SUB(CURRENT_DATE(), INTERVAL 30 DAY)
QUALIFY ROW_NUMBER() OVER (PARTITION BY timeline_id ORDER BY revision DESC, update DESC) = 1
  AND superseded_by IS NULL
  AND (state IS NULL OR state <> 'open' OR start_time >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 3 HOUR));

CREATE OR REPLACE VIEW `PROJECT.DATASET.steps_current`
OPTIONS (description = "The steps of requests at their last revision, each once.") AS
SELECT s.*
FROM `PROJECT.DATASET.steps` AS s
JOIN `PROJECT.DATASET.timelines_current` AS t
  ON s.timeline_id = t.timeline_id AND s.revision = t.revision AND s.date = t.date
WHERE s.date >= DATE_SUB(CURRENT_DATE(), INTERVAL 30 DAY)
QUALIFY ROW_NUMBER() OVER (PARTITION BY s.timeline_id, s.step_id ORDER BY s.start_time) = 1;

CREATE OR REPLACE VIEW `PROJECT.DATASET.alerts_current`
OPTIONS (description = "Alerts, each at its last revision; withdrawn ones too.") AS
SELECT *
FROM `PROJECT.DATASET.alerts`
WHERE date >= DATE_SUB(CURRENT_DATE(), INTERVAL 30 DAY)
QUALIFY ROW_NUMBER() OVER (PARTITION BY alert_id ORDER BY revision DESC) = 1;

CREATE OR REPLACE VIEW `PROJECT.DATASET.events_current`
OPTIONS (description = "Events, each once: one that was sent again is there as often.") AS
SELECT *
FROM `PROJECT.DATASET.events`
WHERE date >= DATE_SUB(CURRENT_DATE(), INTERVAL 30 DAY)
QUALIFY ROW_NUMBER() OVER (PARTITION BY event_id ORDER BY observed_time) = 1;

CREATE OR REPLACE VIEW `PROJECT.DATASET.agent_latency`
OPTIONS (description = "How long calls take, by agent and stage.") AS
SELECT
  COALESCE(agent, '') AS agent,
  layer AS stage,
  COUNT(*) AS calls,
  SUM(CASE WHEN status = 'ok' THEN 0 ELSE 1 END) AS failed,
  ROUND(APPROX_QUANTILES(duration_ns, 100)[OFFSET(50)] / 1e6, 3) AS p50_ms,
  ROUND(APPROX_QUANTILES(duration_ns, 100)[OFFSET(95)] / 1e6, 3) AS p95_ms,
  ROUND(APPROX_QUANTILES(duration_ns, 100)[OFFSET(99)] / 1e6, 3) AS p99_ms
FROM `PROJECT.DATASET.steps_current`
WHERE self_ns IS NOT NULL -- calls, not what the network and the kernel saw of them
GROUP BY 1, 2
ORDER BY 1, 2;

CREATE OR REPLACE VIEW `PROJECT.DATASET.time_spent`
OPTIONS (description = "Where the time of requests went: in the model, in tools, on the way (network), waiting for a connection (queue), or in the agent's and the services' own code. Calls that run side by side count each.") AS
SELECT
  date,
  agent,
  stage,
  ROUND(SUM(ns) / 1e6, 3) AS total_ms,
  ROUND(SUM(ns) / SUM(SUM(ns)) OVER (PARTITION BY date, agent), 4) AS share
FROM (
  SELECT
    date,
    COALESCE(agent, '') AS agent,
    CASE
      WHEN layer = 'model' THEN 'model'
      WHEN layer IN ('tool', 'process') THEN 'tool'
      WHEN layer IN ('http', 'edge') THEN 'network'
      ELSE 'code'
    END AS stage,
    self_ns AS ns
  FROM `PROJECT.DATASET.steps_current`
  WHERE self_ns > 0
  UNION ALL
  SELECT date, COALESCE(agent, '') AS agent, 'queue' AS stage, wait_ns AS ns
  FROM `PROJECT.DATASET.steps_current`
  WHERE wait_ns > 0
) AS parts
GROUP BY 1, 2, 3
ORDER BY 1, 2, 4 DESC;

CREATE OR REPLACE VIEW `PROJECT.DATASET.tokens_daily`
OPTIONS (description = "Tokens by day, agent and model.") AS
SELECT
  date,
  COALESCE(agent, '') AS agent,
  COALESCE(model, '') AS model,
  COUNT(*) AS calls,
  COUNT(DISTINCT timeline_id) AS requests,
  SUM(COALESCE(input_tokens, 0)) AS input_tokens,
  SUM(COALESCE(output_tokens, 0)) AS output_tokens
FROM `PROJECT.DATASET.steps_current`
WHERE layer = 'model'
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3;

CREATE OR REPLACE VIEW `PROJECT.DATASET.egress_destinations`
OPTIONS (description = "Where agents went outside the cluster, and since when. What was never seen on the wire counts as outside.") AS
SELECT
  COALESCE(agent, '') AS agent,
  destination,
  MIN(start_time) AS first_seen,
  MAX(start_time) AS last_seen,
  COUNT(DISTINCT timeline_id) AS requests,
  SUM(CASE WHEN status = 'denied' THEN 1 ELSE 0 END) AS denied
FROM `PROJECT.DATASET.steps_current`
WHERE destination IS NOT NULL AND layer <> 'dns' AND COALESCE(destination_public, TRUE)
GROUP BY 1, 2
ORDER BY 3, 1, 2;

CREATE OR REPLACE VIEW `PROJECT.DATASET.policy_denials`
OPTIONS (description = "What policies denied, and the tool that had asked for it.") AS
SELECT
  COALESCE(agent, '') AS agent,
  COALESCE(tool, '') AS tool,
  COALESCE(policy, '') AS policy,
  COALESCE(destination, path, '') AS target,
  layer,
  COUNT(*) AS denials,
  COUNT(DISTINCT timeline_id) AS requests,
  MIN(start_time) AS first_seen,
  MAX(start_time) AS last_seen
FROM `PROJECT.DATASET.steps_current`
WHERE status = 'denied'
GROUP BY 1, 2, 3, 4, 5
ORDER BY 6 DESC, 1, 2, 3, 4, 5;

CREATE OR REPLACE VIEW `PROJECT.DATASET.processes_by_tool`
OPTIONS (description = "The programs that each tool started; an empty tool is none.") AS
SELECT
  COALESCE(agent, '') AS agent,
  COALESCE(tool, '') AS tool,
  executable,
  COUNT(*) AS processes,
  SUM(CASE WHEN status = 'unclaimed' THEN 1 ELSE 0 END) AS unclaimed,
  MIN(start_time) AS first_seen,
  MAX(start_time) AS last_seen
FROM `PROJECT.DATASET.steps_current`
WHERE layer = 'process'
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3;

CREATE OR REPLACE VIEW `PROJECT.DATASET.unexplained`
OPTIONS (description = "What the kernel and the network saw and no span claims, newest first.") AS
SELECT
  date,
  start_time,
  timeline_id,
  step_id,
  layer,
  COALESCE(agent, '') AS agent,
  COALESCE(tool, '') AS tool,
  name,
  executable,
  destination,
  namespace,
  pod,
  pid
FROM `PROJECT.DATASET.steps_current`
WHERE status = 'unclaimed'
ORDER BY 2 DESC, 4;

CREATE OR REPLACE VIEW `PROJECT.DATASET.join_quality`
OPTIONS (description = "How steps came to their timelines.") AS
SELECT
  join_method AS method,
  join_exact AS exact,
  layer,
  COUNT(*) AS steps,
  ROUND(AVG(join_confidence), 3) AS mean_confidence,
  MIN(join_confidence) AS min_confidence,
  SUM(CASE WHEN join_candidates > 1 THEN 1 ELSE 0 END) AS contested
FROM `PROJECT.DATASET.steps_current`
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3;

CREATE OR REPLACE VIEW `PROJECT.DATASET.alert_funnel`
OPTIONS (description = "What became of alerts, by rule.") AS
SELECT
  rule_id,
  severity,
  COUNT(*) AS raised,
  SUM(CASE WHEN state = 'withdrawn' THEN 1 ELSE 0 END) AS withdrawn,
  SUM(CASE WHEN state = 'open' THEN 1 ELSE 0 END) AS standing,
  SUM(CASE WHEN state = 'open' AND exact THEN 1 ELSE 0 END) AS standing_exact,
  COUNT(DISTINCT timeline_id) AS requests,
  MIN(event_time) AS first_seen,
  MAX(event_time) AS last_seen
FROM `PROJECT.DATASET.alerts_current`
GROUP BY 1, 2
ORDER BY 3 DESC, 1, 2;
