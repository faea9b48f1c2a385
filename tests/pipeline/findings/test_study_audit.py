from pipeline.findings.scores import MapScores
from pipeline.findings.study_audit import StudyAudit, map_name, methods_at_layers


def audited(*places):
    entries = [MapScores(target="nodule", method=method, layer=layer, reader=None) for method, layer in places]
    return StudyAudit(study="S", patient="P", source_sha256="", status="analysed", map_scores=tuple(entries))


def test_a_map_is_named_with_its_layer_only_where_a_method_was_taken_at_several():
    audits = [audited(("gradcam", "a"), ("lime", None)), audited(("gradcam", "b"), ("hirescam", "a"))]
    at_layers = methods_at_layers(audits)
    assert at_layers == {"gradcam"}
    names = [map_name(entry, at_layers) for audit in audits for entry in audit.map_scores]
    assert names == ["gradcam@a", "lime", "gradcam@b", "hirescam"]
