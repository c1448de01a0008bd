#include "noregret/nn/adapter.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "noregret/base/error.h"
#include "tests/nn/nn_support.h"

namespace noregret {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kQueryA = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";

// A copy of a golden adapter whose tensors a test may change.
class AdapterFolder {
 public:
  explicit AdapterFolder(const std::string& name) : folder_(name) {
    folder_.copy_from(golden_dir() / "adapter_untied");
    tensors_ = read_tensors(folder_.path() / "adapter_model.safetensors");
  }

  Tensor& tensor(const std::string& name) {
    for (auto& [key, tensor] : tensors_) {
      if (key == name) return tensor;
    }
    return tensors_.emplace_back(name, Tensor()).second;
  }
  void remove(const std::string& name) {
    std::erase_if(tensors_, [&](const NamedTensor& entry) { return entry.first == name; });
  }
  void set_config(const std::string& key, const Json& value) const {
    const fs::path path = folder_.path() / "adapter_config.json";
    Json config = parse_json(read_file(path), path.string());
    config[key] = value;
    write_file_atomic(path, dump_json(config));
  }
  Adapter load() const {
    write_file_atomic(folder_.path() / "adapter_model.safetensors", tensors_to_bytes(tensors_));
    return Adapter::load(folder_.path(), golden_model("untied_mha").sites(), at::kCPU);
  }
  std::string load_error() const {
    return error_of<DataError>([&] { load(); });
  }
  const fs::path& path() const { return folder_.path(); }

 private:
  TempFolder folder_;
  std::vector<NamedTensor> tensors_;
};

TEST(AdapterCreate, CoversEveryLinearLayerByDefault) {
  const CausalLm model = tiny_model();
  const Adapter adapter = Adapter::create(model.sites(), adapter_options(2, 32), 1, at::kCPU);
  EXPECT_EQ(adapter.parameters().size(), 2 * model.sites().size());
  EXPECT_THAT(adapter.config().target_modules,
              ElementsAre("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"));
}

TEST(AdapterCreate, AIsUniformWithinOneOverRootOfFanIn) {
  const Adapter adapter = Adapter::create({{"lm_head", 400, 3, {}}}, adapter_options(50, 32), 1, at::kCPU);
  const Tensor a = adapter.find(0)->a;
  EXPECT_LE(a.abs().max().item<double>(), 0.05);
  EXPECT_GT(a.abs().max().item<double>(), 0.0499);
  EXPECT_NEAR(a.std().item<double>(), 0.05 / std::sqrt(3.0), 0.0005);  // 20,000 draws: 5 standard errors
  EXPECT_EQ(adapter.find(0)->b.abs().max().item<double>(), 0.0);
}

TEST(AdapterCreate, IsAPureFunctionOfTheSeed) {
  const CausalLm model = tiny_model();
  const auto digest = [&](uint64_t seed) {
    return Adapter::create(model.sites(), adapter_options(2, 32), seed, at::kCPU).digest();
  };
  EXPECT_EQ(digest(1), digest(1));
  EXPECT_NE(digest(1), digest(2));
}

TEST(AdapterCreate, ASiteStartsAlikeWhateverElseIsAdapted) {
  const CausalLm model = tiny_model();
  const Adapter all = Adapter::create(model.sites(), adapter_options(2, 32), 1, at::kCPU);
  const Adapter head = Adapter::create(model.sites(), adapter_options(2, 32, {"lm_head"}), 1, at::kCPU);
  EXPECT_EQ(head.parameters().size(), 2u);
  EXPECT_TRUE(at::equal(head.find(14)->a, all.find(14)->a));
}

TEST(AdapterCreate, MisspeltTargetGetsTheNearestName) {
  const CausalLm model = tiny_model();
  const std::string message =
      error_of<ConfigError>([&] { Adapter::create(model.sites(), adapter_options(2, 32, {"q_prj"}), 1, at::kCPU); });
  EXPECT_THAT(message, AllOf(HasSubstr("'q_prj'"), HasSubstr("did you mean 'q_proj'")));
}

TEST(AdapterCreate, PartOfANameIsNoTarget) {
  const CausalLm model = tiny_model();
  EXPECT_THROW(Adapter::create(model.sites(), adapter_options(2, 32, {"proj"}), 1, at::kCPU), ConfigError);
}

TEST(Adapter, CloneIsFrozenAndStays) {
  const CausalLm model = tiny_model();
  Adapter adapter = Adapter::create(model.sites(), adapter_options(2, 32), 1, at::kCPU);
  adapter.set_trainable(true);
  const Adapter copy = adapter.clone();
  EXPECT_EQ(copy.digest(), adapter.digest());
  fill_b(adapter, 1.0f, 3);
  EXPECT_NE(copy.digest(), adapter.digest());
  EXPECT_FALSE(copy.find(0)->a.requires_grad());
  EXPECT_TRUE(adapter.find(0)->a.requires_grad());
}

TEST(Adapter, DigestSeesAlpha) {
  const CausalLm model = tiny_model();
  EXPECT_NE(Adapter::create(model.sites(), adapter_options(2, 32), 1, at::kCPU).digest(),
            Adapter::create(model.sites(), adapter_options(2, 16), 1, at::kCPU).digest());
}

TEST(Adapter, NormsAreFrobeniusOverAllSites) {
  const std::vector<LinearSite> sites = {{"a.q_proj", 2, 3, {}}, {"b.q_proj", 2, 3, {}}};
  const Adapter adapter = Adapter::create(sites, adapter_options(1, 32), 1, at::kCPU);
  const at::NoGradGuard no_grad;
  for (int64_t i : {0, 1}) Tensor(adapter.find(i)->b).fill_(2.0);
  for (int64_t i : {0, 1}) Tensor(adapter.find(i)->a).fill_(1.0);
  EXPECT_NEAR(adapter.norm_b(), std::sqrt(24.0), 1e-6);
  EXPECT_NEAR(adapter.norm_a(), 2.0, 1e-6);
}

TEST(AdapterFiles, ReadBackEqualsWhatWasWritten) {
  const CausalLm model = tiny_model();
  const Adapter adapter = Adapter::create(model.sites(), adapter_options(3, 20, {"q_proj", "lm_head"}), 1, at::kCPU);
  fill_b(adapter, 1.0f, 2);
  const TempFolder folder("roundtrip");
  write_file_atomic(folder.path() / "adapter_config.json", adapter.config_json("models/base"));
  write_file_atomic(folder.path() / "adapter_model.safetensors", adapter.tensor_bytes());
  const Adapter again = Adapter::load(folder.path(), model.sites(), at::kCPU);
  EXPECT_EQ(again.digest(), adapter.digest());
  EXPECT_EQ(again.config().base_model, "models/base");
}

TEST(AdapterFiles, ScalingOfRsLoraIsAlphaOverTheRootOfTheRank) {
  const CausalLm model = golden_model("untied_mha");
  const Adapter adapter = Adapter::load(golden_dir() / "adapter_patterns", model.sites(), at::kCPU);
  EXPECT_DOUBLE_EQ(adapter.find(0)->scaling, 5.0 / std::sqrt(2.0));   // q_proj
  EXPECT_DOUBLE_EQ(adapter.find(6)->scaling, 5.0 / std::sqrt(4.0));   // layer 0 down_proj: rank 4
  EXPECT_DOUBLE_EQ(adapter.find(13)->scaling, 7.0 / std::sqrt(4.0));  // layer 1 down_proj: alpha 7 too
  EXPECT_EQ(adapter.find(1), nullptr);
}

TEST(AdapterFiles, MissingTensorIsNamed) {
  AdapterFolder folder("adapter_missing");
  folder.remove(kQueryA);
  EXPECT_THAT(folder.load_error(), HasSubstr(kQueryA));
}

TEST(AdapterFiles, SurplusTensorIsNamed) {
  AdapterFolder folder("adapter_surplus");
  folder.tensor("base_model.model.model.embed_tokens.lora_embedding_A") = at::full({3, 32}, 1.0f);
  EXPECT_THAT(folder.load_error(), HasSubstr("lora_embedding_A"));
}

TEST(AdapterFiles, WrongRankIsNamedWithBothShapes) {
  AdapterFolder folder("adapter_rank");
  folder.set_config("r", 4);
  EXPECT_THAT(folder.load_error(), AllOf(HasSubstr("[3, 24]"), HasSubstr("[4, 24]")));
}

TEST(AdapterFiles, AdapterOfAnotherModelIsRefused) {
  AdapterFolder folder("adapter_other_base");
  folder.tensor("base_model.model.lm_head.base_layer.weight")[0][0] += 1.0;
  EXPECT_THAT(folder.load_error(), AllOf(HasSubstr("base_layer"), HasSubstr("trained on")));
}

TEST(AdapterFiles, AdapterWithoutTheBaseWeightLoads) {
  AdapterFolder folder("adapter_no_base");
  folder.remove("base_model.model.lm_head.base_layer.weight");
  EXPECT_EQ(folder.load().parameters().size(), 30u);
}

TEST(AdapterFiles, NonFiniteValueIsRefused) {
  AdapterFolder folder("adapter_nan");
  folder.tensor(kQueryA)[1][2] = std::nan("");
  EXPECT_THAT(folder.load_error(), AllOf(HasSubstr(kQueryA), HasSubstr("NaN")));
}

TEST(AdapterFiles, UnknownTargetModuleIsRefused) {
  AdapterFolder folder("adapter_target");
  folder.set_config("target_modules", Json::array({"embed_tokens", "lm_head"}));
  EXPECT_THAT(folder.load_error(), AllOf(HasSubstr("target_modules"), HasSubstr("'embed_tokens'")));
}

TEST(AdapterFiles, CutOffFileIsRefused) {
  const AdapterFolder folder("adapter_cut");
  const fs::path file = folder.path() / "adapter_model.safetensors";
  fs::resize_file(file, fs::file_size(file) - 50);
  EXPECT_THROW(Adapter::load(folder.path(), golden_model("untied_mha").sites(), at::kCPU), DataError);
}

TEST(RestoreParameters, CopiesIntoTheSameTensors) {
  const CausalLm model = tiny_model();
  Adapter target = Adapter::create(model.sites(), adapter_options(2, 32), 1, at::kCPU);
  target.set_trainable(true);
  const Tensor handle = target.find(0)->a;
  const Adapter source = Adapter::create(model.sites(), adapter_options(2, 32), 9, at::kCPU);
  restore_parameters(target.parameters(), source.parameters(), "checkpoint");
  EXPECT_EQ(target.digest(), source.digest());
  EXPECT_TRUE(handle.is_same(target.find(0)->a));
  EXPECT_TRUE(handle.requires_grad());
}

TEST(RestoreParameters, ChangesNothingWhenATensorIsWrong) {
  const CausalLm model = tiny_model();
  const Adapter target = Adapter::create(model.sites(), adapter_options(2, 32), 1, at::kCPU);
  const std::string before = target.digest();
  std::vector<NamedTensor> values = Adapter::create(model.sites(), adapter_options(2, 32), 9, at::kCPU).parameters();
  values.back().second = at::full({20, 2}, std::nan(""));
  EXPECT_THAT(error_of<DataError>([&] { restore_parameters(target.parameters(), values, "step_000002"); }),
              AllOf(HasSubstr("step_000002"), HasSubstr("lm_head.lora_B"), HasSubstr("NaN")));
  EXPECT_EQ(target.digest(), before);
}

TEST(RestoreParameters, SurplusTensorIsNamed) {
  const CausalLm model = tiny_model();
  const Adapter target = Adapter::create(model.sites(), adapter_options(2, 32, {"q_proj"}), 1, at::kCPU);
  const Adapter source = Adapter::create(model.sites(), adapter_options(2, 32, {"q_proj", "lm_head"}), 1, at::kCPU);
  EXPECT_THAT(error_of<DataError>([&] { restore_parameters(target.parameters(), source.parameters(), "x"); }),
              HasSubstr("lm_head"));
}

}  // namespace
}  // namespace noregret
