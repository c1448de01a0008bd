#include "envs/tic_tac_toe/tic_tac_toe.h"

#include <algorithm>
#include <array>
#include <map>

#include "envs/common/marked_number.h"
#include "envs/common/procedural.h"

namespace noregret {
namespace {

// Nine squares, row by row: 'X', 'O' or ' '.
using Board = std::string;

constexpr std::array<std::array<size_t, 3>, 8> kLines = {
    {{0, 1, 2}, {3, 4, 5}, {6, 7, 8}, {0, 3, 6}, {1, 4, 7}, {2, 5, 8}, {0, 4, 8}, {2, 4, 6}}};

bool has_won(const Board& board, char player) {
  return std::any_of(kLines.begin(), kLines.end(), [&](const auto& line) {
    return std::all_of(line.begin(), line.end(), [&](size_t at) { return board[at] == player; });
  });
}

std::vector<size_t> free_squares(const Board& board) {
  std::vector<size_t> squares;
  for (size_t at = 0; at < board.size(); ++at) {
    if (board[at] == ' ') squares.push_back(at);
  }
  return squares;
}

bool is_over(const Board& board) { return has_won(board, 'X') || has_won(board, 'O') || free_squares(board).empty(); }

Board with(Board board, size_t at, char player) {
  board[at] = player;
  return board;
}

// What best play gives the player to move, of every position: 1 won, 0 drawn, -1 lost.
class BestPlay {
 public:
  BestPlay() { fill(Board(9, ' '), 'X'); }
  int of(const Board& board) const { return values_.at(board); }

 private:
  // X and O take turns, so a position tells who moves.
  int fill(const Board& board, char player) {
    const auto known = values_.find(board);
    if (known != values_.end()) return known->second;
    const char other = player == 'X' ? 'O' : 'X';
    const std::vector<size_t> squares = free_squares(board);
    int best = has_won(board, other) ? -1 : squares.empty() ? 0 : -2;
    if (best == -2) {
      for (const size_t at : squares) best = std::max(best, -fill(with(board, at, player), other));
    }
    return values_[board] = best;
  }
  std::map<Board, int> values_;
};

// The squares among which an opponent of this level draws.
std::vector<size_t> choices(const Board& board, int64_t level, const BestPlay& play) {
  const std::vector<size_t> squares = free_squares(board);
  if (level == 1) return squares;
  for (const char player : {'O', 'X'}) {  // to win, or to keep X from it
    for (const size_t at : squares) {
      if (has_won(with(board, at, player), player)) return {at};
    }
  }
  if (level == 2) return squares;
  std::vector<size_t> best;
  int best_value = -2;
  for (const size_t at : squares) {
    const int after = -play.of(with(board, at, 'O'));
    if (after > best_value) best.clear();
    best_value = std::max(best_value, after);
    if (after == best_value) best.push_back(at);
  }
  return best;
}

std::string drawn(const Board& board) {
  std::string text;
  for (size_t at = 0; at < board.size(); ++at) {
    text += board[at] == ' ' ? static_cast<char>('1' + at) : board[at];
    if (at % 3 == 2) text += '\n';
  }
  return text;
}

class TicTacToeEpisode : public Episode {
 public:
  TicTacToeEpisode(Board board, int64_t level, uint64_t key, const BestPlay& play)
      : board_(std::move(board)), level_(level), rng_(key), play_(play) {}

  StepResult step(const Turn& turn) override {
    ++num_turns_;
    const std::optional<int64_t> square = marked_number(turn);
    const bool is_legal = square && *square >= 1 && *square <= 9 && board_[static_cast<size_t>(*square - 1)] == ' ';
    if (is_legal) {
      board_[static_cast<size_t>(*square - 1)] = 'X';
      if (!noregret::is_over(board_)) {
        const std::vector<size_t> squares = choices(board_, level_, play_);
        board_[squares[rng_.below(squares.size())]] = 'O';
      }
    }
    StepResult result = judged(is_legal);
    if (turn.is_cut) result.truncate(StopReason::kMaxTokens);
    return result;
  }

 private:
  StepResult judged(bool is_legal) const {
    StepResult result;
    const bool is_end = noregret::is_over(board_);
    const bool is_win = has_won(board_, 'X');
    const bool is_draw = is_legal && is_end && !is_win && !has_won(board_, 'O');
    result.is_terminated = is_end || !is_legal;
    if (!is_legal) result.stop_reason = StopReason::kParseError;
    result.score = is_win ? 1.0 : is_draw ? 0.5 : 0.0;
    result.parts = {{"win", is_win ? 1.0 : 0.0},
                    {"draw", is_draw ? 1.0 : 0.0},
                    {"illegal", is_legal ? 0.0 : 1.0},
                    {"turns", static_cast<double>(num_turns_)}};
    if (!result.is_over()) result.messages = {{"user", drawn(board_)}};
    return result;
  }

  Board board_;
  int64_t level_;
  Rng rng_;
  const BestPlay& play_;
  int64_t num_turns_ = 0;
};

// A position with X to move that is not over and not lost, after up to two moves of each.
Board draw_board(Rng& rng, const BestPlay& play) {
  while (true) {
    Board board(9, ' ');
    const uint64_t num_pairs = rng.below(3);
    for (uint64_t i = 0; i < 2 * num_pairs; ++i) {
      const std::vector<size_t> squares = free_squares(board);
      board[squares[rng.below(squares.size())]] = i % 2 == 0 ? 'X' : 'O';
    }
    if (!is_over(board) && play.of(board) >= 0) return board;
  }
}

class TicTacToe : public ProceduralTasks {
 public:
  TicTacToe(const TicTacToeOptions& options, uint64_t seed)
      : ProceduralTasks("tic_tac_toe", write_fields(options), options.instruction, seed), options_(options) {}

  std::unique_ptr<Episode> start(const Task& task) const override {
    return std::make_unique<TicTacToeEpisode>(task.metadata["board"].get<std::string>(), options_.level,
                                              std::stoull(task.metadata["opponent"].get<std::string>()), play_);
  }

 private:
  Task draw(Rng question, Rng other) const override {
    const Board board = draw_board(question, play_);
    Task task;
    task.messages = {{"user", cat("Tic-tac-toe. You are X. Squares are\n", drawn(board))}};
    task.metadata = Json{{"level", options_.level}, {"board", board}, {"opponent", cat(other.next_u64())}};
    return task;
  }

  TicTacToeOptions options_;
  BestPlay play_;
};

}  // namespace

std::unique_ptr<TaskSource> make_tic_tac_toe(FieldReader& reader, const EnvContext& context) {
  TicTacToeOptions options;
  options.visit_fields(reader);
  reader.finish();
  return std::make_unique<TicTacToe>(options, context.seed);
}

}  // namespace noregret
