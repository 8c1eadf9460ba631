"""`claim`, and one `check_...` for each exercise, in one file for each lesson."""

from utils.checks.attention import (
    check_additive_score,
    check_alignment_error,
    check_attention_step,
    check_masked_softmax,
    check_one_look,
)
from utils.checks.core import Verdict, claim
from utils.checks.decoding_and_bleu import (
    check_beam_step,
    check_beam_test,
    check_clipped_matches,
    check_corpus_bleu,
)
from utils.checks.gates_and_directions import (
    check_final_state,
    check_gradient_sizes,
    check_gru_step,
    check_lstm_step,
)
from utils.checks.inference import (
    check_cached_attention,
    check_cached_decode,
    check_cached_from_memory,
    check_keep_top_p,
    check_layer_flops,
)
from utils.checks.modern import (
    check_grouped_attention,
    check_rms_norm,
    check_swiglu,
)
from utils.checks.multi_head_attention import (
    check_copy_from_torch,
    check_head_masks,
    check_multi_head_attention,
    check_role_table,
)
from utils.checks.one_block import (
    check_corrupt_spans,
    check_mask_tokens,
    check_masking_from_memory,
    check_patchify,
)
from utils.checks.positional_encoding import (
    check_positions,
    check_rotary_attention,
    check_rotate,
    check_sinusoidal_encoding,
    check_window_mask,
)
from utils.checks.recurrent_networks import (
    check_inputs_and_targets,
    check_mean_loss,
    check_rnn_step,
    check_sample,
)
from utils.checks.scaled_dot_product_attention import (
    check_causal_mask,
    check_head_from_memory,
    check_scaled_dot_product_attention,
    check_self_attention,
    check_yesterday,
)
from utils.checks.seq2seq import (
    check_decoder,
    check_greedy_decode,
    check_perplexity,
    check_shift_target,
    check_token_loss,
)
from utils.checks.start_here import (
    check_double,
    check_mask_broadcast,
    check_matmul_shape,
    check_merge_heads,
    check_softmax,
    check_split_heads,
)
from utils.checks.text_to_batches import (
    check_find_duplicates,
    check_last_state,
    check_padding_mask,
    check_vocabulary,
)
from utils.checks.transformer import (
    check_decoder_from_memory,
    check_decoder_layer,
    check_leak_test,
    check_transformer,
    check_write,
)
from utils.checks.transformer_block import (
    check_encoder_layer,
    check_feed_forward,
    check_layer_norm,
    check_warmup_rate,
)
from utils.checks.translation import (
    check_accumulate,
    check_mended_loss,
    check_report,
    check_smoothed_loss,
    check_smoothing_from_memory,
)

__all__ = [
    "Verdict",
    "check_accumulate",
    "check_additive_score",
    "check_alignment_error",
    "check_attention_step",
    "check_beam_step",
    "check_beam_test",
    "check_cached_attention",
    "check_cached_decode",
    "check_cached_from_memory",
    "check_causal_mask",
    "check_clipped_matches",
    "check_copy_from_torch",
    "check_corpus_bleu",
    "check_corrupt_spans",
    "check_decoder",
    "check_decoder_from_memory",
    "check_decoder_layer",
    "check_double",
    "check_encoder_layer",
    "check_feed_forward",
    "check_final_state",
    "check_find_duplicates",
    "check_gradient_sizes",
    "check_greedy_decode",
    "check_grouped_attention",
    "check_gru_step",
    "check_head_from_memory",
    "check_head_masks",
    "check_inputs_and_targets",
    "check_keep_top_p",
    "check_last_state",
    "check_layer_flops",
    "check_layer_norm",
    "check_leak_test",
    "check_lstm_step",
    "check_mask_broadcast",
    "check_mask_tokens",
    "check_masked_softmax",
    "check_masking_from_memory",
    "check_matmul_shape",
    "check_mean_loss",
    "check_mended_loss",
    "check_merge_heads",
    "check_multi_head_attention",
    "check_one_look",
    "check_padding_mask",
    "check_patchify",
    "check_perplexity",
    "check_positions",
    "check_report",
    "check_rms_norm",
    "check_rnn_step",
    "check_role_table",
    "check_rotary_attention",
    "check_rotate",
    "check_sample",
    "check_scaled_dot_product_attention",
    "check_self_attention",
    "check_shift_target",
    "check_sinusoidal_encoding",
    "check_smoothed_loss",
    "check_smoothing_from_memory",
    "check_softmax",
    "check_split_heads",
    "check_swiglu",
    "check_token_loss",
    "check_transformer",
    "check_vocabulary",
    "check_warmup_rate",
    "check_window_mask",
    "check_write",
    "check_yesterday",
    "claim",
]
